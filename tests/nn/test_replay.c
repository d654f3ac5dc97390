/* The same weights and images through PyTorch (recorded, in double precision) and through this network: logits, loss, every
 * gradient tensor, and the weights after three clipped Nesterov steps. */
#include <math.h>
#include <stdlib.h>

#include "support/forward.h"
#include "nn/settings.h"
#include "support/replay.h"
#include "support/support.h"
#include "vgg11/base/memory.h"
#include "vgg11/nn/loss.h"
#include "vgg11/nn/network.h"

enum { THREADS = 2 };

static float *flat_buffer(void)
{
    void *buffer;
    ck_assert_int_eq(vgg_map(model_flat_count() * sizeof(float), &buffer), VGG_OK);
    return buffer;
}

static void free_flat(float *buffer) { vgg_unmap(buffer, model_flat_count() * sizeof(float)); }

/* Errors allowed. Sizes are held against PyTorch's. */
typedef struct {
    double forward; /* in logits, the largest of which is 1.7, and in loss */
    double steps;   /* in each step's loss and gradient norm: errors grow where a ReLU or a maximum is close to switching */
    void (*assert_close)(const float *flat, const replay_tensor *expected, double tolerance, const char *what);
    double gradient;
    double change; /* of the weights, after all steps */
} allowance;

/* The plainest rows, which should err by rounding alone; those taken by default, whose transforms cost digits; and bf16 with rounded
 * operands and with rounded transforms, of which half to two thirds were seen. */
static const allowance plain = {1e-5, 1e-4, replay_assert_close, 1e-4, 1e-3}, usual = {1e-4, 1e-4, replay_assert_close, 1e-3, 1e-2};
static const allowance rounded = {0.06, 0.15, replay_assert_near, 0.45, 0.65},
                       transformed = {0.08, 0.15, replay_assert_near, 0.55, 0.75};

static const setting im2col = {PRECISION_FP32, "im2col"};

/* The settings, with im2col behind them. */
static network *create(int index, const allowance **allowed)
{
    const setting *s = index < settings_count ? &settings[index] : &im2col;
    network *net = settings_create(s, REPLAY_BATCH, THREADS, true);
    if (s->precision == PRECISION_BF16)
        *allowed = settings_round_transforms(net) ? &transformed : &rounded;
    else
        *allowed = s == &im2col ? &plain : &usual;
    return net;
}

/* Mean loss, and its gradient. */
static double compute(network *net, const replay *r, const float *weights, float *gradient)
{
    float dlogits[REPLAY_BATCH * MODEL_CLASSES];
    network_prepare(net, weights);
    const float *logits = forward_images(net, weights, r->input, REPLAY_BATCH);
    loss_result result = loss_softmax_cross_entropy(logits, r->labels, REPLAY_BATCH, 0, 1.0f / REPLAY_BATCH, dlogits);
    network_backward(net, weights, dlogits, gradient, NULL, NULL);
    return result.loss_sum / REPLAY_BATCH;
}

START_TEST(logits_loss_and_gradient)
{
    replay *r = replay_open();
    const allowance *allowed;
    network *net = create(_i, &allowed);
    float *weights = flat_buffer(), *gradient = flat_buffer();
    replay_fill_weights(weights);
    double loss = compute(net, r, weights, gradient);
    const float *logits = forward_images(net, weights, r->input, REPLAY_BATCH);
    for (int i = 0; i < REPLAY_BATCH * MODEL_CLASSES; i++) ck_assert_double_eq_tol(logits[i], r->logits[i], allowed->forward);
    ck_assert_double_eq_tol(loss, r->loss[0], allowed->forward);
    allowed->assert_close(gradient, r->gradient, allowed->gradient, "gradient");
    free_flat(weights), free_flat(gradient);
    network_destroy(net);
    free(r);
}
END_TEST

static double norm_of(const float *values)
{
    double squares = 0;
    for (size_t i = 0; i < model_flat_count(); i++) squares += (double)values[i] * values[i];
    return sqrt(squares);
}

/* Keras' form; PyTorch's keeps -v / lr, which is the same for a constant rate. */
static void nesterov(const replay *r, float *weights, float *velocity, const float *gradient, double scale)
{
    for (size_t i = 0; i < model_flat_count(); i++) {
        double step = r->learning_rate * scale * gradient[i], v = r->momentum * velocity[i] - step;
        velocity[i] = (float)v;
        weights[i] = (float)(weights[i] + r->momentum * v - step);
    }
}

START_TEST(three_clipped_steps)
{
    replay *r = replay_open();
    const allowance *allowed;
    network *net = create(_i, &allowed);
    float *weights = flat_buffer(), *start = flat_buffer(), *gradient = flat_buffer(), *velocity = flat_buffer();
    replay_fill_weights(weights);
    replay_fill_weights(start);
    for (int step = 0; step < REPLAY_STEPS; step++) {
        double loss = compute(net, r, weights, gradient), norm = norm_of(gradient);
        ck_assert_double_eq_tol(loss, r->loss[step], allowed->steps * r->loss[step]);
        ck_assert_double_eq_tol(norm, r->gradient_norm[step], allowed->steps * r->gradient_norm[step]);
        nesterov(r, weights, velocity, gradient, fmin(1, r->clip_norm / norm));
    }
    for (size_t i = 0; i < model_flat_count(); i++) weights[i] -= start[i];
    allowed->assert_close(weights, r->change, allowed->change, "change");
    free_flat(weights), free_flat(start), free_flat(gradient), free_flat(velocity);
    network_destroy(net);
    free(r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replay");
    TCase *tests = tcase_create("PyTorch");
    settings_find();
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, logits_loss_and_gradient, 0, settings_count + 1);
    tcase_add_loop_test(tests, three_clipped_steps, 0, settings_count + 1);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

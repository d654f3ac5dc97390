/* The same weights and images through PyTorch (recorded, in double precision) and through this network: logits, loss, every
 * gradient tensor, and the weights after three clipped Nesterov steps. */
#include <math.h>
#include <stdlib.h>

#include "support/forward.h"
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

/* The plainest rows, which should err by rounding alone; and those taken by default, whose transforms cost digits. */
static const struct {
    const char *conv;
    double forward;         /* error allowed in logits and loss */
    double tolerance;       /* of the gradient */
    double after_all_steps; /* of the weights' change: errors grow where a ReLU or a maximum is close to switching */
} settings[] = {{"im2col", 1e-5, 1e-4, 1e-3}, {"auto", 1e-4, 1e-3, 1e-2}};

static network *create(int setting)
{
    network_config config = {.batch_capacity = REPLAY_BATCH, .threads = THREADS, .training = true, .conv = settings[setting].conv};
    network *net;
    ck_assert_msg(network_create(&config, &net) == VGG_OK, "%s", vgg_message());
    return net;
}

/* Mean loss, and its gradient. */
static double compute(network *net, const replay *r, const float *weights, float *gradient)
{
    float dlogits[REPLAY_BATCH * MODEL_CLASSES];
    network_prepare(net, weights);
    const float *logits = forward_images(net, weights, r->input, REPLAY_BATCH);
    loss_result result = loss_softmax_cross_entropy(logits, r->labels, REPLAY_BATCH, 1.0f / REPLAY_BATCH, dlogits);
    network_backward(net, weights, dlogits, gradient, NULL, NULL);
    return result.loss_sum / REPLAY_BATCH;
}

START_TEST(logits_loss_and_gradient)
{
    replay *r = replay_open();
    network *net = create(_i);
    float *weights = flat_buffer(), *gradient = flat_buffer();
    replay_fill_weights(weights);
    double loss = compute(net, r, weights, gradient);
    const float *logits = forward_images(net, weights, r->input, REPLAY_BATCH);
    for (int i = 0; i < REPLAY_BATCH * MODEL_CLASSES; i++) ck_assert_double_eq_tol(logits[i], r->logits[i], settings[_i].forward);
    ck_assert_double_eq_tol(loss, r->loss[0], settings[_i].forward);
    replay_assert_close(gradient, r->gradient, settings[_i].tolerance, "gradient");
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
    network *net = create(_i);
    float *weights = flat_buffer(), *start = flat_buffer(), *gradient = flat_buffer(), *velocity = flat_buffer();
    replay_fill_weights(weights);
    replay_fill_weights(start);
    for (int step = 0; step < REPLAY_STEPS; step++) {
        double loss = compute(net, r, weights, gradient), norm = norm_of(gradient);
        ck_assert_double_eq_tol(loss, r->loss[step], 1e-4 * r->loss[step]);
        ck_assert_double_eq_tol(norm, r->gradient_norm[step], 1e-4 * r->gradient_norm[step]);
        nesterov(r, weights, velocity, gradient, fmin(1, r->clip_norm / norm));
    }
    for (size_t i = 0; i < model_flat_count(); i++) weights[i] -= start[i];
    replay_assert_close(weights, r->change, settings[_i].after_all_steps, "change");
    free_flat(weights), free_flat(start), free_flat(gradient), free_flat(velocity);
    network_destroy(net);
    free(r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replay");
    TCase *tests = tcase_create("PyTorch");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, logits_loss_and_gradient, 0, 2);
    tcase_add_loop_test(tests, three_clipped_steps, 0, 2);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

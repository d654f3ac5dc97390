/* The network as a whole: its gradient against difference quotients, its hooks, and what must not depend on what. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "support/forward.h"
#include "support/support.h"
#include "vgg11/base/memory.h"
#include "vgg11/nn/initialize.h"
#include "vgg11/nn/loss.h"
#include "vgg11/nn/model.h"
#include "vgg11/nn/network.h"

enum { BATCH = 4, THREADS = 2, PIXELS = MODEL_SIDE * MODEL_SIDE };

static float input[BATCH * PIXELS];
static const uint8_t labels[BATCH] = {3, 1, 4, 1};

static float *flat_buffer(void)
{
    void *buffer;
    ck_assert_int_eq(vgg_map(model_flat_count() * sizeof(float), &buffer), VGG_OK);
    return buffer;
}

static void free_flat(float *buffer) { vgg_unmap(buffer, model_flat_count() * sizeof(float)); }

static network *create(int capacity, int threads, bool training)
{
    network_config config = {.batch_capacity = capacity, .threads = threads, .training = training};
    network *net;
    ck_assert_msg(network_create(&config, &net) == VGG_OK, "%s", vgg_message());
    return net;
}

static double loss_at(network *net, const float *weights, float *dlogits)
{
    network_prepare(net, weights);
    const float *logits = forward_images(net, weights, input, BATCH);
    return loss_softmax_cross_entropy(logits, labels, BATCH, 1.0f / BATCH, dlogits).loss_sum / BATCH;
}

static void gradient_at(network *net, const float *weights, float *gradient)
{
    float dlogits[BATCH * MODEL_CLASSES];
    loss_at(net, weights, dlogits);
    network_backward(net, weights, dlogits, gradient, NULL, NULL);
}

/* He's weights, and biases that are not zero. */
static float *some_weights(void)
{
    float *weights = flat_buffer();
    initializer_find("he")->fill(11, weights);
    for (int t = 1; t < MODEL_TENSORS; t += 2) {
        const tensor_view *bias = &model_tensors()[t];
        support_fill(weights + bias->offset, bias->count, (unsigned)t);
        for (size_t i = 0; i < bias->count; i++) weights[bias->offset + i] *= 0.1f;
    }
    return weights;
}

/* moved = weights + distance * direction over one tensor, where direction[i] = gradient[i] * u[i], u in [0, 1): a random
 * direction in which the loss surely changes. Returns the direction's product with the gradient. */
static double move(const float *weights, const float *gradient, const tensor_view *view, double distance, float *moved)
{
    float *u = malloc(view->count * sizeof *u);
    double product = 0;
    ck_assert_ptr_nonnull(u);
    support_fill(u, view->count, (unsigned)view->offset);
    for (size_t i = 0; i < view->count; i++) {
        size_t at = view->offset + i;
        double direction = gradient[at] * (0.5 + 0.5 * u[i]);
        moved[at] = (float)(weights[at] + distance * direction);
        product += (double)gradient[at] * ((double)moved[at] - weights[at]);
    }
    free(u);
    return product;
}

/* Central difference over tensors first .. end-1 against the gradient. */
static void check_quotient(network *net, const float *weights, const float *gradient, int first, int end)
{
    const double wanted_change = 0.01;
    float *moved = flat_buffer();
    double slope = 0, predicted[2] = {0, 0}, loss[2];
    for (int t = first; t < end; t++) slope += move(weights, gradient, &model_tensors()[t], 1, moved);
    ck_assert_msg(slope > 0, "%s: no gradient", model_tensors()[first].name);
    for (int side = 0; side < 2; side++) {
        memcpy(moved, weights, model_flat_count() * sizeof *moved);
        for (int t = first; t < end; t++)
            predicted[side] += move(weights, gradient, &model_tensors()[t], (side ? -1 : 1) * wanted_change / slope, moved);
        loss[side] = loss_at(net, moved, NULL);
    }
    double change = loss[0] - loss[1], expected = predicted[0] - predicted[1];
    ck_assert_msg(fabs(change - expected) <= 0.02 * expected, "%s: the loss changes by %.6g, the gradient says %.6g",
                  model_tensors()[first].name, change, expected);
    free_flat(moved);
}

START_TEST(gradient_is_the_difference_quotient)
{
    network *net = create(BATCH, THREADS, true);
    float *weights = some_weights(), *gradient = flat_buffer();
    gradient_at(net, weights, gradient);
    check_quotient(net, weights, gradient, 0, MODEL_TENSORS);
    for (int t = 0; t < MODEL_TENSORS; t++) check_quotient(net, weights, gradient, t, t + 1);
    free_flat(weights), free_flat(gradient);
    network_destroy(net);
}
END_TEST

/* What the hooks have said. */
typedef struct {
    size_t begin; /* of all that is final so far: it grows downward */
    int ranges;
    int polls;
    const float *gradient;
    bool in_order;
    bool final; /* nothing in a range reported was still unwritten */
} witness;

static void note_range(void *context, size_t first, size_t count)
{
    witness *w = context;
    w->in_order = w->in_order && count > 0 && first + count == w->begin;
    for (size_t i = first; i < first + count; i++) w->final = w->final && !isnan(w->gradient[i]);
    w->begin = first;
    w->ranges++;
}

static void note_poll(void *context) { ((witness *)context)->polls++; }

static void check_hooks(network *net, const float *weights, float *gradient, int n)
{
    float dlogits[BATCH * MODEL_CLASSES];
    witness w = {.begin = model_flat_count(), .gradient = gradient, .in_order = true, .final = true};
    network_hooks hooks = {&w, note_range, note_poll};
    support_fill(dlogits, BATCH * MODEL_CLASSES, 1);
    memset(gradient, 0xFF, model_flat_count() * sizeof *gradient);
    network_prepare(net, weights);
    forward_images(net, weights, input, n);
    network_backward(net, weights, dlogits, gradient, NULL, &hooks);
    ck_assert_msg(w.in_order && w.begin == 0, "ranges leave gaps, overlap or go upward (at %zu)", w.begin);
    ck_assert_msg(w.final, "a range was reported before it was written");
    ck_assert_int_ge(w.ranges, MODEL_LAYERS);
    ck_assert_int_ge(w.polls, MODEL_LAYERS);
}

typedef struct {
    int in_a_pass;
    bool right_thread;
} turns;

static void note_turn(void *context)
{
    turns *t = context;
    t->in_a_pass += omp_in_parallel();
    t->right_thread = t->right_thread && omp_get_thread_num() == 0;
}

/* A fast pass may be over before a turn is due, so it is tried again. */
START_TEST(passes_give_turns_between_tiles)
{
    enum { TRIALS = 1000 };
    static const char *const names[] = {"im2col", "winograd", "direct", NULL};
    float dlogits[BATCH * MODEL_CLASSES];
    float *weights = some_weights(), *gradient = flat_buffer();
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++) {
        network_config config = {.batch_capacity = BATCH, .threads = THREADS, .training = true, .conv = names[i]};
        network *net;
        ck_assert_msg(network_create(&config, &net) == VGG_OK, "%s", vgg_message());
        loss_at(net, weights, dlogits);
        turns t = {.right_thread = true};
        for (int trial = 0; trial < TRIALS && t.in_a_pass == 0; trial++)
            network_backward(net, weights, dlogits, gradient, NULL, &(network_hooks){.context = &t, .poll = note_turn});
        ck_assert_msg(t.in_a_pass > 0 && t.right_thread, "%s", names[i] ? names[i] : "as expected");
        network_destroy(net);
    }
    free_flat(weights), free_flat(gradient);
}
END_TEST

START_TEST(hooks_cover_the_gradient_from_its_end)
{
    network *net = create(BATCH, THREADS, true);
    float *weights = some_weights(), *gradient = flat_buffer();
    check_hooks(net, weights, gradient, BATCH);
    check_hooks(net, weights, gradient, 0);
    for (size_t i = 0; i < model_flat_count(); i++) {
        if (gradient[i] != 0) ck_abort_msg("without samples gradient[%zu] is %g", i, gradient[i]);
    }
    free_flat(weights), free_flat(gradient);
    network_destroy(net);
}
END_TEST

START_TEST(padding_of_the_gradient_is_zero)
{
    network *net = create(BATCH, THREADS, true);
    float *weights = some_weights(), *gradient = flat_buffer();
    memset(gradient, 0xFF, model_flat_count() * sizeof *gradient);
    gradient_at(net, weights, gradient);
    size_t end = 0;
    for (int t = 0; t < MODEL_TENSORS; t++) {
        const tensor_view *view = &model_tensors()[t];
        for (size_t i = end; i < view->offset; i++) ck_assert(gradient[i] == 0);
        end = view->offset + view->count;
    }
    for (size_t i = end; i < model_flat_count(); i++) ck_assert(gradient[i] == 0);
    free_flat(weights), free_flat(gradient);
    network_destroy(net);
}
END_TEST

START_TEST(a_step_repeated_gives_the_same_bits)
{
    network *net = create(BATCH, THREADS, true);
    float *weights = some_weights(), *first = flat_buffer(), *second = flat_buffer();
    gradient_at(net, weights, first);
    forward_images(net, weights, input, 1);
    gradient_at(net, weights, second);
    ck_assert(memcmp(first, second, model_flat_count() * sizeof *first) == 0);
    free_flat(weights), free_flat(first), free_flat(second);
    network_destroy(net);
}
END_TEST

/* Logits of one sample do not depend on the others, the capacity, the threads, or on training. */
START_TEST(a_sample_stands_alone)
{
    float *weights = some_weights(), expected[BATCH * MODEL_CLASSES];
    network *net = create(BATCH, THREADS, true);
    network_prepare(net, weights);
    memcpy(expected, forward_images(net, weights, input, BATCH), sizeof expected);
    network_destroy(net);
    for (int threads = 1; threads <= 3; threads++) {
        net = create(BATCH + 3, threads, false);
        network_prepare(net, weights);
        for (int i = 0; i < BATCH; i++) {
            const float *logits = forward_images(net, weights, input + i * PIXELS, 1);
            support_assert_close(logits, expected + i * MODEL_CLASSES, MODEL_CLASSES, 1e-4, "logits of one sample");
        }
        network_destroy(net);
    }
    free_flat(weights);
}
END_TEST

/* The gradient over the batch is the sum of those over its parts. */
START_TEST(gradients_add_up)
{
    float *weights = some_weights(), *whole = flat_buffer(), *part = flat_buffer(), *sum = flat_buffer();
    float dlogits[BATCH * MODEL_CLASSES];
    network *net = create(BATCH, THREADS, true);
    gradient_at(net, weights, whole);
    loss_at(net, weights, dlogits);
    for (int first = 0, n = 1; first < BATCH; first += n, n = BATCH - 1) {
        forward_images(net, weights, input + first * PIXELS, n);
        network_backward(net, weights, dlogits + first * MODEL_CLASSES, part, NULL, NULL);
        for (size_t i = 0; i < model_flat_count(); i++) sum[i] += part[i];
    }
    for (int t = 0; t < MODEL_TENSORS; t++) {
        const tensor_view *view = &model_tensors()[t];
        support_assert_close(sum + view->offset, whole + view->offset, view->count, 1e-4, view->name);
    }
    free_flat(weights), free_flat(whole), free_flat(part), free_flat(sum);
    network_destroy(net);
}
END_TEST

static bool any_finite(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (isfinite(values[i])) return true;
    }
    return false;
}

START_TEST(nan_is_seen)
{
    float *weights = some_weights(), *gradient = flat_buffer(), kept = input[PIXELS + 500];
    network *net = create(BATCH, THREADS, true);
    const float bad[] = {NAN, INFINITY};
    for (int i = 0; i < 2; i++) {
        input[PIXELS + 500] = bad[i];
        network_prepare(net, weights);
        const float *logits = forward_images(net, weights, input, BATCH);
        ck_assert(!any_finite(logits + MODEL_CLASSES, MODEL_CLASSES));
        ck_assert(any_finite(logits + 2 * MODEL_CLASSES, MODEL_CLASSES));
        gradient_at(net, weights, gradient);
        for (int t = 0; t < MODEL_TENSORS; t += 2) {
            double sum = 0;
            for (size_t k = 0; k < model_tensors()[t].count; k++) sum += gradient[model_tensors()[t].offset + k];
            ck_assert_msg(!isfinite(sum), "the gradient of %s is finite", model_tensors()[t].name);
        }
    }
    input[PIXELS + 500] = kept;
    free_flat(weights), free_flat(gradient);
    network_destroy(net);
}
END_TEST

START_TEST(timing_counts_only_when_asked)
{
    float *weights = some_weights(), *gradient = flat_buffer();
    network *net = create(BATCH, THREADS, true);
    gradient_at(net, weights, gradient);
    for (int i = 0; i < MODEL_LAYERS; i++) ck_assert(network_seconds(net, i, 0) == 0);
    network_timing(net, true);
    gradient_at(net, weights, gradient);
    for (int i = 0; i < MODEL_LAYERS; i++) {
        for (int pass = 0; pass < 3; pass++) ck_assert((network_seconds(net, i, pass) > 0) == !(i == 0 && pass == 1));
    }
    free_flat(weights), free_flat(gradient);
    network_destroy(net);
}
END_TEST

START_TEST(forward_alone_takes_less_memory)
{
    network *training = create(64, 1, true), *forward = create(64, 1, false);
    ck_assert_uint_gt(network_memory_bytes(training), network_memory_bytes(forward));
    ck_assert_str_eq(network_algorithm(forward, 3, 2), "none");
    ck_assert_str_eq(network_algorithm(training, 0, 1), "none");
    network_destroy(training), network_destroy(forward);
    network_destroy(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("network");
    TCase *tests = tcase_create("network");
    support_fill(input, BATCH * PIXELS, 3);
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, gradient_is_the_difference_quotient);
    tcase_add_test(tests, hooks_cover_the_gradient_from_its_end);
    tcase_add_test(tests, passes_give_turns_between_tiles);
    tcase_add_test(tests, padding_of_the_gradient_is_zero);
    tcase_add_test(tests, a_step_repeated_gives_the_same_bits);
    tcase_add_test(tests, a_sample_stands_alone);
    tcase_add_test(tests, gradients_add_up);
    tcase_add_test(tests, nan_is_seen);
    tcase_add_test(tests, timing_counts_only_when_asked);
    tcase_add_test(tests, forward_alone_takes_less_memory);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

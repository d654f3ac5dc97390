/* Clipping and the update, against the formulas in double precision. */
#include "vgg11/train/optimizer.h"

#include <math.h>
#include <stdlib.h>

#include "support/support.h"
#include "vgg11/base/memory.h"

static float *weights, *velocity, *gradient, *old_weights, *old_velocity;

static float *flat(unsigned seed)
{
    void *memory;
    ck_assert_int_eq(vgg_map(model_flat_count() * sizeof(float), &memory), VGG_OK);
    if (seed) support_fill(memory, model_flat_count(), seed);
    return memory;
}

static void open_buffers(void)
{
    weights = flat(1), velocity = flat(2), gradient = flat(3), old_weights = flat(1), old_velocity = flat(2);
}

static void close_buffers(void)
{
    float *all[] = {weights, velocity, gradient, old_weights, old_velocity};
    for (int i = 0; i < 5; i++) vgg_unmap(all[i], model_flat_count() * sizeof(float));
}

static void square_sums(double sums[MODEL_TENSORS])
{
    for (int t = 0; t < MODEL_TENSORS; t++) {
        const tensor_view *view = &model_tensors()[t];
        sums[t] = 0;
        for (size_t i = 0; i < view->count; i++) sums[t] += (double)gradient[view->offset + i] * gradient[view->offset + i];
    }
}

static void check_update(const optimizer_config *config, float lr)
{
    double sums[MODEL_TENSORS], total = 0;
    clip_result clip;
    square_sums(sums);
    for (int t = 0; t < MODEL_TENSORS; t++) total += sums[t];
    optimizer_clip(config, sums, &clip);
    ck_assert_double_eq_tol(clip.norm, sqrt(total), 1e-9 * sqrt(total));
    optimizer_update(config, &clip, lr, (vgg_range){0, model_flat_count()}, weights, velocity, gradient);
    for (int t = 0; t < MODEL_TENSORS; t++) {
        const tensor_view *view = &model_tensors()[t];
        double norm = sqrt(config->mode == CLIP_TENSOR ? sums[t] : total);
        double scale = config->clip_norm > 0 ? fmin(1, config->clip_norm / norm) : 1;
        for (size_t k = 0; k < view->count; k += 997) {
            size_t i = view->offset + k;
            double g = scale * gradient[i] + (view->kernel ? config->weight_decay * old_weights[i] : 0);
            double v = config->momentum * old_velocity[i] - lr * g;
            double w = old_weights[i] + (config->nesterov ? config->momentum * v - lr * g : v);
            ck_assert_msg(fabs(velocity[i] - v) < 1e-6 && fabs(weights[i] - w) < 1e-6, "%s[%zu]: v %g expected %g, w %g expected %g",
                          view->name, k, velocity[i], v, weights[i], w);
        }
    }
}

/* Bits of the loop index choose Nesterov, the mode, decay and clipping. */
START_TEST(update_is_keras_nesterov)
{
    open_buffers();
    optimizer_config config = {.momentum = 0.9f,
                               .nesterov = _i & 1,
                               .mode = _i & 2 ? CLIP_TENSOR : CLIP_GLOBAL,
                               .weight_decay = _i & 4 ? 0.01f : 0,
                               .clip_norm = _i & 8 ? 1.5f : 0,
                               .threads = 1 + _i % 3};
    check_update(&config, 0.1f);
    close_buffers();
}
END_TEST

START_TEST(only_the_owned_range_changes)
{
    open_buffers();
    optimizer_config config = {.momentum = 0.9f, .nesterov = true, .threads = 2};
    double sums[MODEL_TENSORS] = {1};
    clip_result clip;
    vgg_range owned = {1000016, 5000000};
    optimizer_clip(&config, sums, &clip);
    optimizer_update(&config, &clip, 0.1f, owned, weights, velocity, gradient);
    for (size_t i = 0; i < model_flat_count(); i++) {
        bool inside = i >= owned.first && i < owned.first + owned.count;
        if (!inside && (weights[i] != old_weights[i] || velocity[i] != old_velocity[i])) ck_abort_msg("[%zu] changed outside", i);
    }
    ck_assert_float_ne(weights[owned.first], old_weights[owned.first]);
    ck_assert_float_ne(weights[owned.first + owned.count - 1], old_weights[owned.first + owned.count - 1]);
    close_buffers();
}
END_TEST

START_TEST(threads_and_parts_give_the_same_bits)
{
    open_buffers();
    optimizer_config one = {.momentum = 0.9f, .nesterov = true, .weight_decay = 0.01f, .threads = 1}, three = one;
    double sums[MODEL_TENSORS] = {1};
    clip_result clip;
    three.threads = 3;
    optimizer_clip(&one, sums, &clip);
    optimizer_update(&one, &clip, 0.1f, (vgg_range){0, model_flat_count()}, weights, velocity, gradient);
    size_t half = 12345680;
    optimizer_update(&three, &clip, 0.1f, (vgg_range){0, half}, old_weights, old_velocity, gradient);
    optimizer_update(&three, &clip, 0.1f, (vgg_range){half, model_flat_count() - half}, old_weights, old_velocity, gradient);
    ck_assert_mem_eq(weights, old_weights, model_flat_count() * sizeof(float));
    ck_assert_mem_eq(velocity, old_velocity, model_flat_count() * sizeof(float));
    close_buffers();
}
END_TEST

START_TEST(norm_that_is_not_finite_shows)
{
    const double values[] = {NAN, INFINITY};
    optimizer_config config = {.clip_norm = 1};
    double sums[MODEL_TENSORS] = {4};
    clip_result clip;
    sums[17] = values[_i];
    optimizer_clip(&config, sums, &clip);
    ck_assert(!isfinite(clip.norm));
}
END_TEST

START_TEST(zero_gradient_is_not_scaled)
{
    optimizer_config config = {.clip_norm = 1, .mode = _i ? CLIP_TENSOR : CLIP_GLOBAL};
    double sums[MODEL_TENSORS] = {0};
    clip_result clip;
    optimizer_clip(&config, sums, &clip);
    ck_assert_double_eq(clip.norm, 0);
    ck_assert_double_eq(clip.smallest_scale, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("optimizer");
    TCase *tests = tcase_create("optimizer");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, update_is_keras_nesterov, 0, 16);
    tcase_add_test(tests, only_the_owned_range_changes);
    tcase_add_test(tests, threads_and_parts_give_the_same_bits);
    tcase_add_loop_test(tests, norm_that_is_not_finite_shows, 0, 2);
    tcase_add_loop_test(tests, zero_gradient_is_not_scaled, 0, 2);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

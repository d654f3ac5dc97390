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
    optimizer_update(config, &clip, lr, (vgg_range){0, model_flat_count()},
                     &(optimizer_buffers){weights, velocity, gradient, NULL});
    for (int t = 0; t < MODEL_TENSORS; t++) {
        const tensor_view *view = &model_tensors()[t];
        double norm = sqrt(config->mode == CLIP_TENSOR ? sums[t] : total);
        double scale = config->clip_norm > 0 ? fmin(1, config->clip_norm / norm) : 1;
        for (size_t k = 0; k < view->count; k += 997) {
            size_t i = view->offset + k;
            double g = scale * gradient[i] + (view->kernel ? config->weight_decay * old_weights[i] : 0);
            double v = config->momentum * old_velocity[i] - lr * g;
            double w = old_weights[i] + (config->nesterov ? config->momentum * v - lr * g : v);
            ck_assert_msg(fabs(velocity[i] - v) < 1e-6 && fabs(weights[i] - w) < 1e-6,
                          "%s[%zu]: v %g expected %g, w %g expected %g", view->name, k, velocity[i], v, weights[i], w);
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
    optimizer_update(&config, &clip, 0.1f, owned, &(optimizer_buffers){weights, velocity, gradient, NULL});
    for (size_t i = 0; i < model_flat_count(); i++) {
        bool inside = i >= owned.first && i < owned.first + owned.count;
        if (!inside && (weights[i] != old_weights[i] || velocity[i] != old_velocity[i])) ck_abort_msg("[%zu] changed outside", i);
    }
    ck_assert_float_ne(weights[owned.first], old_weights[owned.first]);
    ck_assert_float_ne(weights[owned.first + owned.count - 1], old_weights[owned.first + owned.count - 1]);
    close_buffers();
}
END_TEST

/* The same images' gradient, from factors and written out: what one does to a rank's rows of fc3's kernel, the other does, and nothing
 * behind them. */
START_TEST(factors_do_what_the_whole_gradient_does)
{
    enum { FC3 = 10, IMAGES = 5 };
    const tensor_view *kernel = &model_tensors()[2 * FC3];
    size_t in = kernel->shape[0], out = kernel->shape[1], end = kernel->offset + kernel->count;
    static float x[IMAGES * 4096], dy[IMAGES * 1000];
    factor_set *set;
    void *memory;
    open_buffers();
    support_fill(x, IMAGES * in, 5), support_fill(dy, IMAGES * out, 6);
    ck_assert_int_eq(factors_open(&(factors_config){PRECISION_FP32, IMAGES, 2}, &set), VGG_OK);
    ck_assert_int_eq(vgg_map(factors_bytes(set), &memory), VGG_OK);
    factor_batch batch = {set, memory, IMAGES, 0, 1 + 2 * _i};
    vgg_range others = range_part(IMAGES, 2, 1);
    factors_write(&batch, FC3, x, dy);
    batch.rank = 1;
    factors_write(&batch, FC3, x + others.first * in, dy + others.first * out);
    for (size_t c = 0; c < in; c++) {
        for (size_t k = 0; k < out; k++) {
            double sum = 0;
            for (size_t i = 0; i < IMAGES; i++) sum += (double)x[i * in + c] * dy[i * out + k];
            gradient[kernel->offset + c * out + k] = (float)sum;
        }
    }
    optimizer_config config = {.momentum = 0.9f, .nesterov = true, .weight_decay = 0.01f, .threads = 1 + 2 * _i};
    double sums[MODEL_TENSORS] = {1};
    clip_result clip;
    vgg_range rows = range_part(in, 2, 1), owned = {kernel->offset + rows.first * out, rows.count * out};
    optimizer_clip(&config, sums, &clip);
    optimizer_update(&config, &clip, 0.1f, owned, &(optimizer_buffers){weights, velocity, gradient, NULL});
    for (size_t i = kernel->offset; i < end; i++) gradient[i] = NAN;
    owned.count = 0;
    optimizer_update(&config, &clip, 0.1f, owned, &(optimizer_buffers){old_weights, old_velocity, gradient, &batch});
    for (size_t i = kernel->offset; i < model_flat_count(); i++) {
        bool same = fabsf(weights[i] - old_weights[i]) <= 2e-6f && fabsf(velocity[i] - old_velocity[i]) <= 2e-6f;
        if (!same) ck_abort_msg("[%zu]: w %g, expected %g", i, old_weights[i], weights[i]);
    }
    vgg_unmap(memory, factors_bytes(set));
    factors_close(set);
    close_buffers();
}
END_TEST

/* Two images of nearly opposite gradients: the clip factor is that of their sum, not of what each of them has. */
START_TEST(factors_that_cancel_are_clipped_by_their_true_norm)
{
    enum { FC3 = 10, IN = 4096, OUT = 1000 };
    static float x[2 * IN], dy[2 * OUT];
    factor_set *set;
    void *memory;
    double squares[2] = {0}, sums[MODEL_TENSORS] = {0};
    support_fill(x, IN, 5), support_fill(dy, OUT, 6);
    memcpy(x + IN, x, IN * sizeof *x);
    for (size_t k = 0; k < OUT; k++) dy[OUT + k] = -dy[k] * 0.9999f;
    for (size_t c = 0; c < IN; c++) squares[0] += (double)x[c] * x[c];
    for (size_t k = 0; k < OUT; k++) squares[1] += ((double)dy[k] + dy[OUT + k]) * ((double)dy[k] + dy[OUT + k]);
    double norm = sqrt(squares[0] * squares[1]);
    ck_assert_int_eq(factors_open(&(factors_config){PRECISION_FP32, 2, 1}, &set), VGG_OK);
    ck_assert_int_eq(vgg_map(factors_bytes(set), &memory), VGG_OK);
    factor_batch batch = {set, memory, 2, 0, 1};
    factors_write(&batch, FC3, x, dy); /* the other layers' stay zero */
    factors_reduce_square_sums(&batch);
    factors_read_square_sums(&batch, sums);
    clip_result clip;
    optimizer_clip(&(optimizer_config){.clip_norm = (float)(norm / 3)}, sums, &clip);
    ck_assert_double_eq_tol(clip.norm, norm, 1e-4 * norm);
    ck_assert_double_eq_tol(clip.scale[2 * FC3], 1.0 / 3, 1e-4);
    vgg_unmap(memory, factors_bytes(set));
    factors_close(set);
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
    optimizer_update(&one, &clip, 0.1f, (vgg_range){0, model_flat_count()},
                     &(optimizer_buffers){weights, velocity, gradient, NULL});
    size_t half = 12345680;
    optimizer_update(&three, &clip, 0.1f, (vgg_range){0, half}, &(optimizer_buffers){old_weights, old_velocity, gradient, NULL});
    optimizer_update(&three, &clip, 0.1f, (vgg_range){half, model_flat_count() - half},
                     &(optimizer_buffers){old_weights, old_velocity, gradient, NULL});
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
    tcase_add_loop_test(tests, factors_do_what_the_whole_gradient_does, 0, 2);
    tcase_add_test(tests, factors_that_cancel_are_clipped_by_their_true_norm);
    tcase_add_test(tests, threads_and_parts_give_the_same_bits);
    tcase_add_loop_test(tests, norm_that_is_not_finite_shows, 0, 2);
    tcase_add_loop_test(tests, zero_gradient_is_not_scaled, 0, 2);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

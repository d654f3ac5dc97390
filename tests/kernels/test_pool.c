/* Pooling and ReLU's backward step against their definitions, with ties, NaN, and any number of threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vgg11/kernels/bf16.h"
#include "vgg11/kernels/pool.h"
#include "vgg11/kernels/kernels.h"
#include "support/support.h"
#include "vgg11/base/cpu.h"

enum { N = 3 };

static float *array(size_t count)
{
    float *values = calloc(count + 1, sizeof *values);
    ck_assert_ptr_nonnull(values);
    return values;
}

static size_t input_at(const pool_shape *s, int n, int h, int w, int c)
{
    return (((size_t)n * s->side + h) * s->side + w) * s->channels + c;
}

/* Calls check(shape, output index, the four input indices) for each output. */
static void for_each_window(const pool_shape *s, void (*check)(void *context, size_t out, const size_t in[4]), void *context)
{
    size_t out = 0;
    for (int n = 0; n < s->n; n++) {
        for (int h = 0; h < s->side; h += 2) {
            for (int w = 0; w < s->side; w += 2) {
                for (int c = 0; c < s->channels; c++, out++) {
                    size_t in[4] = {input_at(s, n, h, w, c), input_at(s, n, h, w + 1, c), input_at(s, n, h + 1, w, c),
                                    input_at(s, n, h + 1, w + 1, c)};
                    check(context, out, in);
                }
            }
        }
    }
}

typedef struct {
    const float *x, *y, *dy, *dx;
    const uint8_t *pool_argmax;
} arrays;

static void check_forward(void *context, size_t out, const size_t in[4])
{
    const arrays *a = context;
    int first = 0;
    for (int i = 1; i < 4; i++) first = a->x[in[i]] > a->x[in[first]] ? i : first;
    ck_assert(a->y[out] == a->x[in[first]]);
    ck_assert_int_eq(a->pool_argmax[out], first);
}

static void check_backward(void *context, size_t out, const size_t in[4])
{
    const arrays *a = context;
    for (int i = 0; i < 4; i++) ck_assert(a->dx[in[i]] == (i == a->pool_argmax[out] ? a->dy[out] : 0));
}

static void check_shape(int side, int channels, int threads)
{
    pool_shape shape = {N, side, channels, threads};
    size_t in = (size_t)N * side * side * channels, out = in / 4;
    float *x = array(in), *y = array(out), *dy = array(out), *dx = array(in);
    uint8_t *pool_argmax = malloc(out + 1);
    ck_assert_ptr_nonnull(pool_argmax);
    support_fill(x, in, 1);
    support_fill(dy, out, 2);
    for (size_t i = 0; i < in; i++) x[i] = roundf(4 * x[i]) / 4; /* ties, and zeros */
    memset(dx, 0xFF, in * sizeof *dx);
    pool_forward(&shape, (pool_map){.fp32 = x}, (pool_map){.fp32 = y}, pool_argmax);
    pool_backward(&shape, (pool_map){.fp32 = dy}, pool_argmax, (pool_map){.fp32 = dx});
    arrays a = {x, y, dy, dx, pool_argmax};
    for_each_window(&shape, check_forward, &a);
    for_each_window(&shape, check_backward, &a);
    pool_forward(&shape, (pool_map){.fp32 = x}, (pool_map){.fp32 = dy}, NULL);
    ck_assert(memcmp(dy, y, out * sizeof *y) == 0);
    free(x), free(y), free(dy), free(dx), free(pool_argmax);
}

START_TEST(shapes_and_threads)
{
    static const int channels[] = {1, 3, 16, 33, 64};
    for (int threads = 1; threads <= 3; threads++) {
        for (int side = 2; side <= 8; side += 2) {
            for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) check_shape(side, channels[i], threads);
        }
    }
}
END_TEST

START_TEST(nan_wins_wherever_it_stands)
{
    for (int channel_count = 1; channel_count <= 33; channel_count += 16) {
        for (int place = 0; place < 4; place++) {
            pool_shape shape = {1, 2, channel_count, 1};
            float *x = array(4 * (size_t)channel_count), *y = array((size_t)channel_count);
            uint8_t pool_argmax[33];
            for (int c = 0; c < channel_count; c++) {
                for (int i = 0; i < 4; i++) x[i * channel_count + c] = i == place ? NAN : (float)i;
            }
            pool_forward(&shape, (pool_map){.fp32 = x}, (pool_map){.fp32 = y}, pool_argmax);
            for (int c = 0; c < channel_count; c++) {
                ck_assert(isnan(y[c]));
                ck_assert_int_eq(pool_argmax[c], place);
            }
            free(x), free(y);
        }
    }
}
END_TEST

/* In fp32, and in bf16. */
START_TEST(relu_gradient_stops_at_zero_and_shows_nan)
{
    const float y[8] = {1, 0, -0.0f, NAN, 2, 0, 3, 0};
    float dy[8] = {1, 2, 3, 4, NAN, NAN, INFINITY, 8};
    bf16 narrow_y[8], narrow_dy[8];
    if (_i == 0) {
        relu_backward(y, dy, 8, 2);
    } else {
        bf16_round_array(narrow_y, y, 8, 1);
        bf16_round_array(narrow_dy, dy, 8, 1);
        relu_backward_bf16(narrow_y, narrow_dy, 8, 2);
        bf16_widen_array(dy, narrow_dy, 8, 1);
    }
    ck_assert(dy[0] == 1 && dy[1] == 0 && dy[2] == 0 && dy[3] == 4 && isnan(dy[4]) && dy[5] == 0 && isinf(dy[6]) && dy[7] == 0);
}
END_TEST

/* Else the tests of a level would be those of another. */
START_TEST(the_processor_has_its_widest_kernels)
{
    const cpu_features *cpu = cpu_detect();
    ck_assert_str_eq(simd_kernels_select()->name, cpu->avx512 ? "avx512" : cpu->avx2 ? "avx2" : "portable");
    ck_assert_int_eq(simd_kernels_select_bf16() != NULL, cpu->avx512_bf16);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *tests = tcase_create("pool");
    tcase_add_test(tests, shapes_and_threads);
    tcase_add_test(tests, nan_wins_wherever_it_stands);
    tcase_add_loop_test(tests, relu_gradient_stops_at_zero_and_shows_nan, 0, 2);
    tcase_add_test(tests, the_processor_has_its_widest_kernels);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

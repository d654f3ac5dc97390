/* Gradients of dense kernels in factors, against sums in double over the same images. */
#include "vgg11/nn/dense_factors.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vgg11/kernels/bf16.h"
#include "vgg11/kernels/kernels.h"
#include "support/support.h"
#include "vgg11/base/memory.h"

enum { FC3 = 10, RANKS_MAX = 3, IMAGES_MAX = 70, IN = 4096, OUT = 1000 };

/* Images of fc3, whose last panel and last tile are narrow, spread over ranks unevenly, some with an odd count, some with none. */
static const struct {
    size_t images, ranks;
} cases[] = {{1, 1}, {2, 3}, {7, 2}, {33, 3}, {IMAGES_MAX, 2}};
enum { CASES = sizeof cases / sizeof cases[0] };

static float *x, *dy;        /* [images][channels], rounded to what the factors keep */
static uint16_t *x16, *dy16; /* the same, for bf16 */
static factor_set *set;
static void *memory;
static vgg_precision precision;

static void fill(float *values, uint16_t *narrow, size_t count, unsigned seed)
{
    support_fill(values, count, seed);
    for (size_t i = 0; i < count; i++) {
        narrow[i] = bf16_round(values[i]);
        if (precision == PRECISION_BF16) values[i] = bf16_widen(narrow[i]);
    }
}

static bool open_set(vgg_precision of, size_t images, size_t ranks)
{
    precision = of;
    factors_config config = {of, images, ranks};
    vgg_status status = factors_open(&config, &set);
    if (status == VGG_DECLINED && of == PRECISION_BF16 && !simd_kernels_select_bf16()) return false;
    ck_assert_msg(status == VGG_OK, "%s", vgg_message());
    ck_assert_int_eq(vgg_map(factors_bytes(set), &memory), VGG_OK);
    memset(memory, 0xff, factors_bytes(set)); /* NaN wherever nobody writes */
    x = malloc(images * IN * sizeof *x), dy = malloc(images * OUT * sizeof *dy);
    x16 = malloc(images * IN * sizeof *x16), dy16 = malloc(images * OUT * sizeof *dy16);
    fill(x, x16, images * IN, 1);
    fill(dy, dy16, images * OUT, 2);
    return true;
}

static void close_set(void)
{
    vgg_unmap(memory, factors_bytes(set));
    factors_close(set);
    free(x), free(dy), free(x16), free(dy16);
}

static factor_batch batch_of(size_t images, size_t rank, int threads) { return (factor_batch){set, memory, images, rank, threads}; }

/* As the ranks would, in any order. Layers before fc3 get their own first channels of the same numbers. */
static void write_all(size_t images, size_t ranks, int threads)
{
    for (size_t rank = ranks; rank-- > 0;) {
        factor_batch batch = batch_of(images, rank, threads);
        vgg_range own = range_part(images, ranks, rank);
        if (own.count == 0) continue;
        bool narrow = precision == PRECISION_BF16;
        factors_write(&batch, FC3, narrow ? (void *)(x16 + own.first * IN) : (void *)(x + own.first * IN),
                      narrow ? (void *)(dy16 + own.first * OUT) : (void *)(dy + own.first * OUT));
    }
}

static double *expected_gradient(size_t images)
{
    double *dw = calloc((size_t)IN * OUT, sizeof *dw);
    for (size_t i = 0; i < images; i++)
        for (size_t c = 0; c < IN; c++)
            for (size_t k = 0; k < OUT; k++) dw[c * OUT + k] += (double)x[i * IN + c] * dy[i * OUT + k];
    return dw;
}

static double *actual_gradient(const factor_batch *batch, vgg_range rows)
{
    static float values[FACTOR_ROWS * FACTOR_COLUMNS] __attribute__((aligned(64)));
    double *dw = malloc((size_t)IN * OUT * sizeof *dw);
    float *arrays[2] = {malloc((size_t)IN * OUT * sizeof(float)), malloc((size_t)IN * OUT * sizeof(float))};
    for (size_t i = 0; i < (size_t)IN * OUT; i++) dw[i] = NAN;
    for (size_t i = 0, count = factor_tile_count(FC3, rows); i < count; i++) {
        factor_tile tile = factor_tile_at(FC3, rows, i), next = tile;
        if (i + 1 < count) next = factor_tile_at(FC3, rows, i + 1);
        factors_multiply(batch, FC3, &tile, i + 1 < count ? &next : NULL, (const float *const *)arrays, values);
        for (size_t r = 0; r < tile.rows.count; r++)
            for (size_t c = 0; c < tile.columns.count; c++)
                dw[(tile.rows.first + r) * OUT + tile.columns.first + c] = values[r * FACTOR_COLUMNS + c];
    }
    free(arrays[0]), free(arrays[1]);
    return dw;
}

/* Errors are held against the root of the number of terms, which cancel. */
static void check_gradient(const factor_batch *batch, const double *right)
{
    vgg_range rows = {17, IN - 40};
    double *dw = actual_gradient(batch, rows), allowed = 1e-6 * sqrt((double)batch->images);
    for (size_t i = 0; i < (size_t)IN * OUT; i++) {
        bool inside = i / OUT >= rows.first && i / OUT < rows.first + rows.count;
        if (inside ? !(fabs(dw[i] - right[i]) <= allowed) : !isnan(dw[i]))
            ck_abort_msg("[%zu] is %g, expected %g", i, dw[i], right[i]);
    }
    free(dw);
}

static double square_sum_of_kernel(size_t images, size_t ranks, int threads)
{
    double sums[MODEL_TENSORS];
    for (size_t rank = 0; rank < ranks; rank++) {
        factor_batch batch = batch_of(images, rank, threads);
        factors_reduce_square_sums(&batch);
    }
    factor_batch batch = batch_of(images, 0, threads);
    factors_read_square_sums(&batch, sums);
    return sums[2 * FC3];
}

/* Loops over cases, precisions and thread counts. */
START_TEST(products_and_norms_are_those_of_the_whole_gradient)
{
    size_t images = cases[_i % CASES].images, ranks = cases[_i % CASES].ranks;
    int threads = 1 + _i / CASES / 2 * 2;
    if (!open_set(_i / CASES % 2 ? PRECISION_BF16 : PRECISION_FP32, images, ranks)) return;
    ck_assert(factors_hold(set, FC3));
    write_all(images, ranks, threads);
    factor_batch batch = batch_of(images, 0, threads);
    double *right = expected_gradient(images), squares = 0;
    for (size_t i = 0; i < (size_t)IN * OUT; i++) squares += right[i] * right[i];
    check_gradient(&batch, right);
    double sum = square_sum_of_kernel(images, ranks, threads);
    ck_assert_msg(fabs(sum - squares) <= 1e-5 * squares, "%zu images: square sum %.9g, expected %.9g", images, sum, squares);
    free(right);
    close_set();
}
END_TEST

/* Images in pairs of the same x and of opposite dy, the second off by `difference`: their gradients cancel to about that part. */
static void fill_cancelling(size_t images, float difference)
{
    for (size_t i = 1; i < images; i += 2) {
        memcpy(x + i * IN, x + (i - 1) * IN, IN * sizeof *x);
        memcpy(x16 + i * IN, x16 + (i - 1) * IN, IN * sizeof *x16);
        for (size_t k = 0; k < OUT; k++) {
            float opposite = -dy[(i - 1) * OUT + k] * (1 + (k % 2 ? difference : -difference));
            dy16[i * OUT + k] = bf16_round(opposite);
            dy[i * OUT + k] = precision == PRECISION_BF16 ? bf16_widen(dy16[i * OUT + k]) : opposite;
        }
    }
}

static double length(const float *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)values[i] * values[i];
    return sqrt(sum);
}

/* The header's bound of the square sum's error. */
static double error_bound(size_t images)
{
    double magnitude = 0;
    for (size_t i = 0; i < images; i++) magnitude += length(x + i * IN, IN) * length(dy + i * OUT, OUT);
    return (double)(IN + OUT + images * images) * ldexp(1, -53) * magnitude * magnitude;
}

/* Loops over differences and precisions. Sums of the reference are exact to far less than the bound. */
START_TEST(norm_of_images_that_cancel_keeps_its_bound)
{
    const float differences[] = {0, 1e-6f, 1e-4f, 1e-2f};
    const size_t images = 24;
    if (!open_set(_i / 4 ? PRECISION_BF16 : PRECISION_FP32, images, 2)) return;
    fill_cancelling(images, differences[_i % 4]);
    write_all(images, 2, 1);
    double *right = expected_gradient(images), squares = 0, sum = square_sum_of_kernel(images, 2, 1);
    for (size_t i = 0; i < (size_t)IN * OUT; i++) squares += right[i] * right[i];
    ck_assert_msg(isfinite(sum) && sum >= 0, "square sum %g", sum);
    ck_assert_msg(fabs(sum - squares) <= error_bound(images), "square sum %g, expected %g, bound %g", sum, squares,
                  error_bound(images));
    if (differences[_i % 4] >= 1e-4f)
        ck_assert_msg(fabs(sqrt(sum / squares) - 1) < 1e-3 || squares == 0, "norm %g, expected %g", sqrt(sum), sqrt(squares));
    free(right);
    close_set();
}
END_TEST

/* Sums within dw may overflow though its norm, where they cancel, does not. */
START_TEST(overflow_within_the_gradient_is_seen)
{
    if (!open_set(PRECISION_FP32, 2, 1)) return;
    for (size_t i = 0; i < 2; i++) x[i * IN] = 1e20f, dy[i * OUT] = i ? -1e20f : 1e20f;
    write_all(2, 1, 1);
    ck_assert(isinf(square_sum_of_kernel(2, 1, 1)));
    close_set();
}
END_TEST

/* A short batch after a long one leaves nothing of it behind; threads change no bit. */
START_TEST(a_short_batch_is_its_own)
{
    if (!open_set(_i ? PRECISION_BF16 : PRECISION_FP32, IMAGES_MAX, 2)) return;
    write_all(IMAGES_MAX, 2, 1);
    write_all(5, 2, 1);
    factor_batch batch = batch_of(5, 0, 1);
    double *right = expected_gradient(5);
    check_gradient(&batch, right);
    double one = square_sum_of_kernel(5, 2, 1), three = square_sum_of_kernel(5, 2, 3);
    ck_assert_double_eq(one, three);
    free(right);
    close_set();
}
END_TEST

START_TEST(nan_and_infinity_are_seen)
{
    const float bad[2] = {NAN, INFINITY};
    if (!open_set(_i / 2 ? PRECISION_BF16 : PRECISION_FP32, 3, 1)) return;
    dy[OUT + 999] = bad[_i % 2];
    dy16[OUT + 999] = bf16_round(bad[_i % 2]);
    write_all(3, 1, 1);
    factor_batch batch = batch_of(3, 0, 1);
    double *dw = actual_gradient(&batch, (vgg_range){0, IN});
    ck_assert(!isfinite(dw[999]) && !isfinite(dw[(size_t)IN * OUT - 1]) && isfinite(dw[998]));
    ck_assert(!isfinite(square_sum_of_kernel(3, 1, 1)));
    free(dw);
    close_set();
}
END_TEST

START_TEST(many_images_are_declined)
{
    ck_assert_int_eq(factors_open(&(factors_config){PRECISION_FP32, 100000, 1}, &set), VGG_DECLINED);
    ck_assert_ptr_null(set);
    ck_assert(!factors_hold(NULL, FC3));
    ck_assert_int_eq(factors_open(&(factors_config){PRECISION_FP32, 32, 1}, &set), VGG_OK);
    for (int layer = 0; layer < MODEL_LAYERS; layer++)
        ck_assert_int_eq(factors_hold(set, layer), layer >= MODEL_CONVS && layer <= FC3);
    factors_close(set);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("factors");
    TCase *tests = tcase_create("factors");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, products_and_norms_are_those_of_the_whole_gradient, 0, 4 * CASES);
    tcase_add_loop_test(tests, norm_of_images_that_cancel_keeps_its_bound, 0, 8);
    tcase_add_test(tests, overflow_within_the_gradient_is_seen);
    tcase_add_loop_test(tests, a_short_batch_is_its_own, 0, 2);
    tcase_add_loop_test(tests, nan_and_infinity_are_seen, 0, 4);
    tcase_add_test(tests, many_images_are_declined);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

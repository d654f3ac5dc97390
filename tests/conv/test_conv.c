/* Every row of the algorithm table against the reference: VGG11's own shapes and odd ones, all passes, several thread
 * counts, fewer images than planned for; the adjoint identities; and that no fast path hides NaN or infinity. */
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conv/conv_case.h"
#include "vgg11/kernels/pool.h"
#include "support/support.h"
#include "vgg11/base/finite.h"
#include "vgg11/nn/model.h"

enum { MOST_THREADS = 3 };

static const conv_algorithm *reference;

static void describe(const conv_case *c, const conv_algorithm *row, int pass, int threads, char text[128])
{
    static const char *const passes[CONV_PASSES] = {"forward", "input gradient", "weight gradient"};
    snprintf(text, 128, "%s %s: kernel %d side %d in %d out %d, %d images, %d threads", row->name, passes[pass], c->problem.kernel,
             c->problem.side, c->problem.in, c->problem.out, c->n, threads);
}

/* Calls check(case, row, pass, threads, result, the reference's result) for all other rows that accept. */
typedef void (*result_check)(const conv_case *, const conv_algorithm *, int pass, int threads, const float *actual,
                             const float *expected);

static void for_each_row(const conv_case *c, int pass, int fewest_threads, int most_threads, const float *expected,
                         result_check check)
{
    for (int threads = fewest_threads; threads <= most_threads; threads++) {
        for (const conv_algorithm *const *row = conv_case_rows(); *row != reference; row++) {
            float *actual = conv_case_run(c, *row, (conv_pass)pass, threads);
            if (actual) check(c, *row, pass, threads, actual, expected);
            free(actual);
        }
    }
}

static void for_each_result(const conv_case *c, int fewest_threads, int most_threads, result_check check)
{
    for (int pass = 0; pass < CONV_PASSES; pass++) {
        float *expected = conv_case_run(c, reference, (conv_pass)pass, 2);
        ck_assert_ptr_nonnull(expected);
        for_each_row(c, pass, fewest_threads, most_threads, expected, check);
        free(expected);
    }
}

/* Products that are added to make one result. */
static double terms(const conv_problem *p, int n, int pass)
{
    int taps = p->kernel < p->side ? p->kernel : p->side;
    const double counts[CONV_PASSES] = {(double)taps * taps * p->in, (double)taps * taps * p->out, (double)n * p->side * p->side};
    return counts[pass];
}

/* Where few results are left and their terms cancel, errors are measured against the size that sums of so many products of
 * numbers in [-1, 1) have. */
static void check_part(const float *actual, const float *expected, size_t count, double tolerance, double usual, const char *what)
{
    double largest = 1e-30;
    for (size_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)expected[i]));
    support_assert_close(actual, expected, count, tolerance * fmax(1, usual / largest), what);
}

/* dw and db have their own scales. */
static void check_close(const conv_case *c, const conv_algorithm *row, int pass, int threads, const float *actual,
                        const float *expected)
{
    char text[128];
    size_t count = conv_case_result_count(c, (conv_pass)pass), first = pass == CONV_WEIGHT_GRAD ? c->w_count : count;
    describe(c, row, pass, threads, text);
    double usual = sqrt(terms(&c->problem, c->n, pass)) / 3, tolerance = row->tolerance[pass];
    check_part(actual, expected, first, tolerance, usual, text);
    check_part(actual + first, expected + first, count - first, tolerance, usual, text);
}

static conv_problem layer_problem(int layer, int batch)
{
    const layer_row *row = &model_layers[layer];
    return (conv_problem){.kernel = row->kind == LAYER_CONV ? 3 : 1,
                          .side = row->side,
                          .in = row->in,
                          .out = row->out,
                          .batch = batch,
                          .relu = row->relu,
                          .pool = row->pool,
                          .input_is_relu = layer > 0};
}

START_TEST(vgg11_shapes)
{
    static const int images[] = {1, 5};
    for (size_t i = 0; i < sizeof images / sizeof *images; i++) {
        conv_case c;
        conv_problem problem = layer_problem(_i, images[i]);
        conv_case_open(&c, &problem, images[i], (unsigned)(10 * _i));
        for_each_result(&c, images[i] == 1 ? 2 : 1, images[i] == 1 ? 2 : MOST_THREADS, check_close);
        conv_case_close(&c);
    }
}
END_TEST

static const int odd_channels[][2] = {{1, 1},   {1, 3},  {3, 1},  {16, 17}, {17, 33}, {33, 16},
                                      {64, 64}, {1, 64}, {64, 3}, {48, 80}, {65, 15}, {1, 128}};

START_TEST(odd_convolutions)
{
    for (size_t i = 0; i < sizeof odd_channels / sizeof *odd_channels; i++) {
        for (int relu = 0; relu <= 1; relu++) {
            conv_case c;
            conv_problem problem = {.kernel = 3,
                                    .side = _i,
                                    .in = odd_channels[i][0],
                                    .out = odd_channels[i][1],
                                    .batch = 4,
                                    .relu = relu == 1,
                                    .pool = _i % 2 == 0 && relu == 1,
                                    .input_is_relu = relu == 1};
            conv_case_open(&c, &problem, 3 - relu, (unsigned)i);
            for_each_result(&c, 1, relu ? 1 : MOST_THREADS, check_close);
            conv_case_close(&c);
        }
    }
}
END_TEST

static const int odd_features[][2] = {{1, 1},  {1, 17},   {3, 33},    {16, 10},   {17, 64},   {33, 16},
                                      {64, 3}, {100, 64}, {257, 129}, {1000, 10}, {17, 1001}, {512, 130}};

START_TEST(odd_dense_layers)
{
    static const int images[][2] = {{1, 1}, {3, 2}, {17, 17}, {40, 33}}; /* planned for, at hand */
    for (size_t i = 0; i < sizeof images / sizeof *images; i++) {
        conv_case c;
        conv_problem problem = {.kernel = 1,
                                .side = 1,
                                .in = odd_features[_i][0],
                                .out = odd_features[_i][1],
                                .batch = images[i][0],
                                .relu = i % 2 == 0,
                                .input_is_relu = i % 2 == 0};
        conv_case_open(&c, &problem, images[i][1], (unsigned)i);
        for_each_result(&c, 1, MOST_THREADS, check_close);
        conv_case_close(&c);
    }
}
END_TEST

/* Enough for threads to have images of their own. 31 do not share out evenly over two, where 30 do. */
START_TEST(many_images)
{
    static const int shapes[][6] = {{3, 32, 1, 64, 70, 67}, {3, 16, 16, 32, 70, 67}, {3, 4, 64, 48, 70, 67},
                                    {3, 2, 64, 96, 70, 67}, {1, 1, 96, 200, 70, 67}, {3, 8, 256, 40, 31, 30}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        conv_case c;
        conv_problem problem = {.kernel = shapes[i][0],
                                .side = shapes[i][1],
                                .in = shapes[i][2],
                                .out = shapes[i][3],
                                .batch = shapes[i][4],
                                .relu = true,
                                .pool = shapes[i][0] == 3,
                                .input_is_relu = true};
        conv_case_open(&c, &problem, shapes[i][5], (unsigned)i);
        for_each_result(&c, 1, MOST_THREADS, check_close);
        conv_case_close(&c);
    }
}
END_TEST

/* Whichever thread takes which part: what is computed again comes out with the same bits. */
static void check_repeats(const conv_case *c, const conv_algorithm *row, conv_pass pass)
{
    char text[128];
    float *first = conv_case_run(c, row, pass, MOST_THREADS), *again = conv_case_run(c, row, pass, MOST_THREADS);
    describe(c, row, (int)pass, MOST_THREADS, text);
    ck_assert_msg(!first == !again, "%s", text);
    if (first) ck_assert_msg(memcmp(first, again, conv_case_result_count(c, pass) * sizeof *first) == 0, "%s", text);
    free(first);
    free(again);
}

static const int repeated[][4] = {{3, 32, 1, 64}, {3, 16, 16, 32}, {3, 4, 64, 48}, {3, 2, 64, 96}, {1, 1, 96, 200}};

START_TEST(a_row_repeats_itself)
{
    conv_case c;
    const int *shape = repeated[_i];
    conv_problem problem = {
        .kernel = shape[0], .side = shape[1], .in = shape[2], .out = shape[3], .batch = 12, .relu = true, .pool = shape[0] == 3};
    conv_case_open(&c, &problem, 12, (unsigned)_i);
    for (const conv_algorithm *const *row = conv_case_rows(); *row != reference; row++)
        for (int pass = 0; pass < CONV_PASSES; pass++) check_repeats(&c, *row, (conv_pass)pass);
    conv_case_close(&c);
}
END_TEST

/* However a row pools, it is what pooling its own map gives: every bit, every place. */
static void check_pooling(const conv_case *pooled, const conv_case *whole, const conv_algorithm *row)
{
    const conv_problem *p = &pooled->problem;
    pool_shape shape = {pooled->n, p->side, p->out, 1};
    float *y = conv_case_run(pooled, row, CONV_FORWARD, 2), *map = conv_case_run(whole, row, CONV_FORWARD, 2);
    float *expected = malloc(pooled->y_count * sizeof *expected);
    uint8_t *places = malloc(pooled->y_count);
    ck_assert(expected && places && !y == !map);
    if (y) {
        pool_forward(&shape, (pool_map){.fp32 = map}, (pool_map){.fp32 = expected}, places);
        ck_assert_msg(memcmp(y, expected, pooled->y_count * sizeof *y) == 0, "%s: other values", row->name);
        ck_assert_msg(memcmp(pooled->pool_argmax, places, pooled->y_count) == 0, "%s: other places", row->name);
    }
    free(y), free(map), free(expected), free(places);
}

START_TEST(pooling_within_is_pooling_after)
{
    static const int shapes[][3] = {{32, 1, 64}, {16, 64, 128}, {6, 17, 33}, {4, 64, 48}, {2, 64, 64}, {2, 5, 7}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        conv_case pooled, whole;
        conv_problem problem = {
            .kernel = 3, .side = shapes[i][0], .in = shapes[i][1], .out = shapes[i][2], .batch = 3, .relu = true};
        conv_case_open(&whole, &problem, 3, 4);
        problem.pool = true;
        conv_case_open(&pooled, &problem, 3, 4);
        for (const conv_algorithm *const *row = conv_case_rows(); *row; row++) check_pooling(&pooled, &whole, *row);
        conv_case_close(&pooled), conv_case_close(&whole);
    }
}
END_TEST

static double inner(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)a[i] * b[i];
    return sum;
}

/* <A x, dy>, <x, A' dy> and <w, dA' dy> are one number. Rows that err by tolerance t may miss it by t |A x| |dy|. */
static void check_adjoint(const conv_case *c, const conv_algorithm *row)
{
    float *y = conv_case_run(c, row, CONV_FORWARD, 2), *dx = conv_case_run(c, row, CONV_INPUT_GRAD, 2);
    float *dw = conv_case_run(c, row, CONV_WEIGHT_GRAD, 2);
    char text[128];
    if (!y) y = conv_case_run(c, reference, CONV_FORWARD, 2);
    describe(c, row, CONV_FORWARD, 2, text);
    double forward = inner(y, c->dy, c->y_count);
    double scale = sqrt(inner(y, y, c->y_count) * inner(c->dy, c->dy, c->y_count));
    double allowed = scale * fmax(1e-6, row->tolerance[0] + row->tolerance[1] + row->tolerance[2]);
    if (dx) ck_assert_msg(fabs(inner(c->x, dx, c->x_count) - forward) <= allowed, "%s: input gradient is not the adjoint", text);
    if (dw) ck_assert_msg(fabs(inner(c->w, dw, c->w_count) - forward) <= allowed, "%s: weight gradient is not the adjoint", text);
    free(y), free(dx), free(dw);
}

START_TEST(gradients_are_adjoint)
{
    conv_case c;
    conv_problem problem = layer_problem(_i, 2);
    problem.relu = problem.pool = problem.input_is_relu = false;
    conv_case_open(&c, &problem, 2, (unsigned)_i);
    memset(c.b, 0, c.b_count * sizeof *c.b);
    for (const conv_algorithm *const *row = conv_case_rows(); *row; row++) check_adjoint(&c, *row);
    conv_case_close(&c);
}
END_TEST

/* Where the reference is not finite, the row must not be either. (It may spread further: a transform mixes neighbours.) */
static void check_not_hidden(const conv_case *c, const conv_algorithm *row, int pass, int threads, const float *actual,
                             const float *expected)
{
    char text[128];
    describe(c, row, pass, threads, text);
    for (size_t i = 0; i < conv_case_result_count(c, (conv_pass)pass); i++) {
        if (isfinite(actual[i]) && !isfinite(expected[i]))
            ck_abort_msg("%s: [%zu] is %g where the reference has %g", text, i, actual[i], expected[i]);
    }
}

static void poison(const conv_problem *problem, float value, int operand)
{
    conv_case c;
    conv_case_open(&c, problem, problem->batch, 5);
    float *arrays[] = {c.x, c.w, c.dy, c.b};
    size_t counts[] = {c.x_count, c.w_count, c.y_count, c.b_count};
    arrays[operand][counts[operand] / 2] = value;
    int reached = 0; /* not by each pass: one of the operands is what it computes the gradient of */
    for (int pass = 0; pass < CONV_PASSES; pass++) {
        float *expected = conv_case_run(&c, reference, (conv_pass)pass, 2);
        bool reaches = !finite_floats(expected, conv_case_result_count(&c, (conv_pass)pass));
        if (reaches) for_each_row(&c, pass, 2, 2, expected, check_not_hidden);
        reached += reaches;
        free(expected);
    }
    ck_assert(reached > 0 || !isnan(value)); /* a ReLU takes -infinity away */
    conv_case_close(&c);
}

static const conv_problem poisoned_problems[] = {
    {.kernel = 3, .side = 5, .in = 17, .out = 33, .batch = 2, .relu = true},
    {.kernel = 3, .side = 8, .in = 64, .out = 64, .batch = 2, .relu = true, .pool = true},
    {.kernel = 3, .side = 4, .in = 64, .out = 96, .batch = 2, .relu = true},
    {.kernel = 3, .side = 2, .in = 64, .out = 64, .batch = 2, .relu = true, .pool = true, .input_is_relu = true},
    {.kernel = 3, .side = 16, .in = 1, .out = 64, .batch = 2, .relu = true},
    {.kernel = 1, .side = 1, .in = 33, .out = 17, .batch = 2, .relu = true},
    {.kernel = 1, .side = 1, .in = 128, .out = 64, .batch = 2, .relu = true},
};

START_TEST(nothing_hides_what_is_not_finite)
{
    static const float values[] = {NAN, INFINITY, -INFINITY};
    for (int value = 0; value < 3; value++) {
        for (int operand = 0; operand < 4; operand++) poison(&poisoned_problems[_i], values[value], operand);
    }
}
END_TEST

START_TEST(no_layer_hides_nan)
{
    conv_problem layer = layer_problem(_i, 1);
    for (int operand = 0; operand < 3; operand++) poison(&layer, NAN, operand);
}
END_TEST

/* A plan prepared twice computes with the second weights. */
START_TEST(prepare_takes_the_latest_weights)
{
    static const conv_problem problems[] = {{.kernel = 3, .side = 8, .in = 32, .out = 64, .batch = 2, .threads = 2},
                                            {.kernel = 1, .side = 1, .in = 96, .out = 64, .batch = 2, .threads = 2}};
    conv_problem problem = problems[_i];
    for (const conv_algorithm *const *row = conv_case_rows(); *row; row++) {
        conv_case c, before;
        conv_plan plan;
        problem.precision = (*row)->precision;
        conv_case_open(&c, &problem, 2, 1);
        conv_case_open(&before, &problem, 2, 9);
        float *y = calloc(c.y_count, sizeof *y), *expected = conv_case_run(&c, *row, CONV_FORWARD, 2);
        if (expected && conv_plan_open(*row, &problem, CONV_FORWARD, &plan) == VGG_OK) {
            float *workspace = aligned_alloc(64, plan.workspace_bytes / 64 * 64 + 64);
            conv_arguments arguments = {.x = c.x, .w = c.w, .b = c.b, .y = y, .n = 2, .workspace = workspace};
            if (plan.prepare) plan.prepare(&plan, before.w);
            if (plan.prepare) plan.prepare(&plan, c.w);
            conv_plan_run(&plan, &arguments);
            ck_assert_msg(memcmp(y, expected, c.y_count * sizeof *y) == 0, "%s", (*row)->name);
            free(workspace);
            conv_plan_close(&plan);
        }
        free(y), free(expected);
        conv_case_close(&c);
        conv_case_close(&before);
    }
}
END_TEST

START_TEST(the_table_is_in_order)
{
    const conv_algorithm *last = NULL;
    for (const conv_algorithm *const *row = conv_algorithms; *row; row++) {
        ck_assert_ptr_eq(conv_algorithm_find((*row)->name), *row);
        ck_assert(strlen((*row)->good_when) > 0 && strlen((*row)->name) < 24);
        last = *row;
    }
    ck_assert_str_eq(last->name, "reference");
    ck_assert_ptr_null(conv_algorithm_find("nonesuch"));
}
END_TEST

START_TEST(a_narrow_row_declines_a_wide_problem)
{
    conv_problem problem = layer_problem(3, 2);
    problem.threads = 1;
    for (const conv_algorithm *const *row = conv_case_rows(); *row; row++) {
        conv_plan plan;
        if ((*row)->precision == PRECISION_FP32) continue;
        ck_assert_int_eq(conv_plan_open(*row, &problem, CONV_FORWARD, &plan), VGG_DECLINED);
        conv_plan_close(&plan);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conv");
    TCase *tests = tcase_create("rows");
    reference = conv_algorithm_find("reference");
    mallopt(M_MMAP_THRESHOLD, 1 << 30); /* else each large array is mapped, faulted in and unmapped anew */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, the_table_is_in_order);
    tcase_add_test(tests, a_narrow_row_declines_a_wide_problem);
    tcase_add_loop_test(tests, vgg11_shapes, 0, MODEL_LAYERS);
    tcase_add_loop_test(tests, odd_convolutions, 1, 10);
    tcase_add_loop_test(tests, odd_dense_layers, 0, sizeof odd_features / sizeof *odd_features);
    tcase_add_test(tests, many_images);
    tcase_add_test(tests, pooling_within_is_pooling_after);
    tcase_add_loop_test(tests, gradients_are_adjoint, 0, MODEL_LAYERS);
    tcase_add_loop_test(tests, nothing_hides_what_is_not_finite, 0, sizeof poisoned_problems / sizeof *poisoned_problems);
    tcase_add_loop_test(tests, no_layer_hides_nan, 0, MODEL_LAYERS);
    tcase_add_loop_test(tests, prepare_takes_the_latest_weights, 0, 2);
    suite_add_tcase(suite, tests);
    TCase *threads = tcase_create("threads");
    tcase_set_timeout(threads, 0);
    tcase_add_loop_test(threads, a_row_repeats_itself, 0, sizeof repeated / sizeof *repeated);
    suite_add_tcase(suite, threads);
    return support_run(suite, NULL);
}

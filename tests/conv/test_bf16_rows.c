/* Every bf16 row against the reference on rounded operands. Products of bf16 numbers are exact in fp32, so what is left is
 * the order of summation: a far tighter bound than a row's tolerance, which must cover the rounding too. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vgg11/kernels/bf16.h"
#include "conv/conv_case.h"
#include "conv/emulated_bf16.h"
#include "support/support.h"
#include "vgg11/nn/model.h"

static const double SUMMATION_TOLERANCE = 2e-5, ROUNDING_TOLERANCE = 1.0 / 256, AVERAGE_TOLERANCE = 0.015;
enum { MOST_THREADS = 3 };

typedef struct {
    conv_problem problem;
    int n;
} shape;

/* Odd counts everywhere, maps of one pixel and of one line more than two, short last calls, and enough images of a large
 * map that a weight gradient goes over them in several pieces. */
static const shape odd_shapes[] = {
    {{.kernel = 3, .side = 1, .in = 5, .out = 3, .batch = 4, .relu = true}, 3},
    {{.kernel = 3, .side = 2, .in = 1, .out = 1, .batch = 1}, 1},
    {{.kernel = 3, .side = 3, .in = 3, .out = 7, .batch = 5, .relu = true}, 5},
    {{.kernel = 3, .side = 5, .in = 17, .out = 33, .batch = 6}, 3},
    {{.kernel = 3, .side = 7, .in = 40, .out = 70, .batch = 3, .relu = true}, 2},
    {{.kernel = 3, .side = 6, .in = 15, .out = 29, .batch = 31}, 31},
    {{.kernel = 3, .side = 16, .in = 4, .out = 6, .batch = 50, .relu = true}, 47},
    {{.kernel = 1, .side = 1, .in = 37, .out = 45, .batch = 19, .relu = true}, 16},
    {{.kernel = 1, .side = 1, .in = 64, .out = 31, .batch = 40}, 1},
};
enum { ODD_SHAPES = sizeof odd_shapes / sizeof *odd_shapes };

static shape vgg11_shape(int layer)
{
    const layer_row *row = &model_layers[layer];
    int kernel = row->kind == LAYER_CONV ? 3 : 1, n = row->side > 8 ? 2 : 5;
    return (shape){{.kernel = kernel, .side = row->side, .in = row->in, .out = row->out, .batch = n, .relu = row->relu}, n};
}

static void round_operands(conv_case *c)
{
    bf16_round_floats(c->x, c->x, c->x_count, 1);
    bf16_round_floats(c->w, c->w, c->w_count, 1);
    bf16_round_floats(c->dy, c->dy, c->y_count, 1);
}

/* A row may sum db before or after rounding dy, which are the same here. */
static void check_row(const conv_case *c, const conv_algorithm *row, conv_pass pass, const float *expected, double tolerance)
{
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        float *actual = conv_case_run(c, row, pass, threads);
        if (!actual) return;
        char what[128];
        snprintf(what, sizeof what, "%s side %d %d->%d pass %d threads %d", row->name, c->problem.side, c->problem.in,
                 c->problem.out, (int)pass, threads);
        size_t first = pass == CONV_WEIGHT_GRAD ? c->w_count : conv_case_result_count(c, pass);
        support_assert_close(actual, expected, first, tolerance, what);
        if (pass == CONV_WEIGHT_GRAD) {
            support_assert_close(actual + first, expected + first, c->b_count, SUMMATION_TOLERANCE, what);
        }
        free(actual);
    }
}

/* `given` is what the rows see: they must round it to what the reference sees. */
static void check_shape(const shape *s, bool rounded_before)
{
    conv_case given, rounded;
    conv_case_open(&given, &s->problem, s->n, 1);
    conv_case_open(&rounded, &s->problem, s->n, 1);
    round_operands(&rounded);
    for (int pass = 0; pass < CONV_PASSES; pass++) {
        if (!rounded_before && pass == CONV_WEIGHT_GRAD) break;
        float *expected = conv_case_run(&rounded, conv_algorithm_find("reference"), (conv_pass)pass, 2);
        for (const conv_algorithm *const *row = conv_case_rows(); *row; row++) {
            if ((*row)->precision != PRECISION_BF16 || (*row)->transforms_operands) continue;
            check_row(rounded_before ? &rounded : &given, *row, (conv_pass)pass, expected, SUMMATION_TOLERANCE);
        }
        free(expected);
    }
    conv_case_close(&given);
    conv_case_close(&rounded);
}

START_TEST(vgg11_shapes_are_exact_but_for_summation)
{
    shape s = vgg11_shape(_i);
    check_shape(&s, true);
}
END_TEST

static double root_mean_square(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (a[i] - (b ? b[i] : 0.0)) * (a[i] - (b ? b[i] : 0.0));
    return sqrt(sum / (double)count);
}

static bool rounds_transforms(const conv_algorithm *row) { return row->precision == PRECISION_BF16 && row->transforms_operands; }

START_TEST(rounded_transforms_err_by_little_on_average)
{
    shape s = vgg11_shape(_i);
    conv_case given;
    s.problem.relu = false;
    conv_case_open(&given, &s.problem, s.n, 1);
    for (int pass = 0; pass < CONV_PASSES; pass++) {
        float *expected = conv_case_run(&given, conv_algorithm_find("reference"), (conv_pass)pass, 2);
        size_t count = pass == CONV_WEIGHT_GRAD ? given.w_count : conv_case_result_count(&given, (conv_pass)pass);
        for (const conv_algorithm *const *row = conv_case_rows(); *row; row++) {
            float *actual = rounds_transforms(*row) ? conv_case_run(&given, *row, (conv_pass)pass, 2) : NULL;
            if (!actual) continue;
            double error = root_mean_square(actual, expected, count) / root_mean_square(expected, NULL, count);
            ck_assert_msg(error < AVERAGE_TOLERANCE, "%s %s pass %d: %.3g", (*row)->name, model_layers[_i].name, pass, error);
            free(actual);
        }
        free(expected);
    }
    conv_case_close(&given);
}
END_TEST

/* What a row may lose on bfloat16 operands in a pass. */
static double loss_of(const conv_algorithm *row, conv_pass pass)
{
    if (rounds_transforms(row)) return row->tolerance[pass];
    if (pass != CONV_WEIGHT_GRAD) return ROUNDING_TOLERANCE;
    return row->precision == PRECISION_FP32 ? fmax(SUMMATION_TOLERANCE, row->tolerance[pass]) : SUMMATION_TOLERANCE;
}

/* Maps that lie in memory as bfloat16, pooled and rectified, by every row: the same, and results are rounded once. */
static void check_narrow_maps(const shape *s, bool x, bool y)
{
    conv_case given, expecting;
    conv_problem problem = s->problem;
    problem.pool = problem.side % 2 == 0 && problem.relu;
    problem.input_is_relu = true;
    conv_case_open(&expecting, &problem, s->n, 1);
    round_operands(&expecting);
    problem.bf16_x = x;
    problem.bf16_y = y;
    conv_case_open(&given, &problem, s->n, 1);
    round_operands(&given);
    for (int pass = 0; pass < CONV_PASSES; pass++) {
        float *expected = conv_case_run(&expecting, conv_algorithm_find("reference"), (conv_pass)pass, 2);
        for (const conv_algorithm *const *row = conv_case_rows(); *row; row++)
            check_row(&given, *row, (conv_pass)pass, expected, loss_of(*row, (conv_pass)pass));
        free(expected);
    }
    conv_case_close(&given);
    conv_case_close(&expecting);
}

START_TEST(narrow_maps_are_rounded_once)
{
    bool vgg11 = _i < MODEL_LAYERS;
    shape s = vgg11 ? vgg11_shape(_i) : odd_shapes[_i - MODEL_LAYERS];
    check_narrow_maps(&s, true, true);
    if (!vgg11) check_narrow_maps(&s, false, true);
    if (!vgg11) check_narrow_maps(&s, true, false);
}
END_TEST

START_TEST(odd_shapes_are_exact_but_for_summation) { check_shape(&odd_shapes[_i], true); }
END_TEST

START_TEST(operands_are_rounded_to_nearest) { check_shape(&odd_shapes[_i], false); }
END_TEST

/* How the work is shared out must not show in the result. */
START_TEST(own_tiles_do_not_depend_on_threads)
{
    static const shape s = {{.kernel = 3, .side = 8, .in = 24, .out = 72, .batch = 9, .relu = true}, 9};
    conv_case c;
    conv_case_open(&c, &s.problem, s.n, 1);
    for (int pass = 0; pass < CONV_PASSES; pass++) {
        const conv_algorithm *row = conv_algorithm_find("direct-bf16");
        float *one = conv_case_run(&c, row, (conv_pass)pass, 1), *three = conv_case_run(&c, row, (conv_pass)pass, 3);
        if (one) ck_assert(memcmp(one, three, conv_case_result_count(&c, (conv_pass)pass) * sizeof *one) == 0);
        free(one), free(three);
    }
    conv_case_close(&c);
}
END_TEST

START_TEST(fp32_problems_are_declined)
{
    const conv_problem problem = {.kernel = 1, .side = 1, .in = 4, .out = 4, .batch = 1, .threads = 1};
    for (const conv_algorithm *const *row = conv_case_rows(); *row; row++) {
        if ((*row)->precision != PRECISION_BF16) continue;
        conv_plan plan;
        ck_assert_int_eq(conv_plan_open(*row, &problem, CONV_FORWARD, &plan), VGG_DECLINED);
        conv_plan_close(&plan);
    }
}
END_TEST

/* Rounded operands are multiplied as they are: by no row that would transform them first. */
START_TEST(the_emulation_multiplies_operands_without_transforms)
{
    const layer_row *layer = &model_layers[_i];
    bool is_conv = layer->kind == LAYER_CONV;
    conv_problem problem = {.kernel = is_conv ? 3 : 1,
                            .side = layer->side,
                            .in = layer->in,
                            .out = layer->out,
                            .batch = 8,
                            .threads = 1,
                            .relu = layer->relu,
                            .precision = PRECISION_BF16};
    for (int pass = 0; pass < CONV_PASSES; pass++) {
        conv_plan plan;
        ck_assert_int_eq(conv_plan_open(conv_algorithm_find("emulated-bf16"), &problem, (conv_pass)pass, &plan), VGG_OK);
        const conv_algorithm *inner = emulated_bf16_inner(&plan);
        bool one_channel = is_conv && layer->in == 1 && pass != CONV_INPUT_GRAD;
        ck_assert(!inner->transforms_operands);
        ck_assert_str_eq(inner->name, one_channel ? "direct-1ch" : "direct");
        conv_plan_close(&plan);
    }
}
END_TEST

/* Checkpoints and command lines of earlier versions name rows as those did. */
START_TEST(former_names_are_understood)
{
    ck_assert_str_eq(conv_algorithm_find("bf16-portable")->name, "emulated-bf16");
    ck_assert_str_eq(conv_algorithm_find("dense_blas")->name, "blas");
    ck_assert_str_eq(conv_algorithm_find("direct_1ch")->name, "direct-1ch");
    ck_assert_str_eq(conv_algorithm_find("toeplitz")->name, "winograd-2x2");
    ck_assert_ptr_null(conv_algorithm_find("gather"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bf16 rows");
    TCase *products = tcase_create("products");
    tcase_add_loop_test(products, narrow_maps_are_rounded_once, 0, MODEL_LAYERS + ODD_SHAPES);
    tcase_add_loop_test(products, vgg11_shapes_are_exact_but_for_summation, 0, MODEL_LAYERS);
    tcase_add_loop_test(products, odd_shapes_are_exact_but_for_summation, 0, ODD_SHAPES);
    tcase_add_loop_test(products, rounded_transforms_err_by_little_on_average, 0, MODEL_LAYERS);
    tcase_add_loop_test(products, operands_are_rounded_to_nearest, 0, ODD_SHAPES);
    tcase_add_test(products, own_tiles_do_not_depend_on_threads);
    tcase_add_test(products, fp32_problems_are_declined);
    tcase_add_loop_test(products, the_emulation_multiplies_operands_without_transforms, 0, MODEL_LAYERS);
    tcase_add_test(products, former_names_are_understood);
    suite_add_tcase(suite, products);
    return support_run(suite, NULL);
}

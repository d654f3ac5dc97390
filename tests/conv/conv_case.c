#include "conv/conv_case.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "vgg11/kernels/bf16.h"
#include "conv/direct_bf16_amx.h"
#include "support/support.h"
#include "vgg11/base/memory.h"

enum { GUARD_FLOATS = 16, ROWS_MOST = 32 };

static vgg_status plan_emulated(conv_plan *plan) { return direct_bf16_amx_plan(plan, &amx_kernels_emulated); }

const conv_algorithm conv_bf16_amx_emulated = {
    .name = "emulated-bf16-amx",
    .good_when = "tested on any machine",
    .precision = PRECISION_BF16,
    .tolerance = {1e-2f, 1e-2f, 1e-2f},
    .plan = plan_emulated,
};

/* The emulation is the same at all levels of VGG11_CPU, and slow: it is tested once, at the processor's own. */
const conv_algorithm *const *conv_case_rows(void)
{
    static const conv_algorithm *rows[ROWS_MOST];
    int count = 0;
    if (!getenv("VGG11_CPU")) rows[count++] = &conv_bf16_amx_emulated;
    for (int i = 0; conv_algorithms[i]; i++) {
        ck_assert_int_lt(count, ROWS_MOST - 1);
        rows[count++] = conv_algorithms[i];
    }
    rows[count] = NULL;
    return rows;
}

/* All bits set: a NaN. */
static float *poisoned(size_t count)
{
    size_t bytes = vgg_round_up((count + GUARD_FLOATS) * sizeof(float), VGG_ALIGNMENT_BYTES);
    float *values = aligned_alloc(VGG_ALIGNMENT_BYTES, bytes);
    ck_assert_ptr_nonnull(values);
    memset(values, 0xFF, bytes);
    return values;
}

static bool guard_intact(const float *values, size_t count)
{
    unsigned char expected[GUARD_FLOATS * sizeof(float)];
    memset(expected, 0xFF, sizeof expected);
    return memcmp(values + count, expected, sizeof expected) == 0;
}

static float *filled(size_t count, unsigned seed)
{
    float *values = poisoned(count);
    support_fill(values, count, seed);
    return values;
}

/* What a ReLU may have made of a number below zero; a sum of nothing but -0 leaves -0. A number that stays below zero is masked
 * as well. */
static void rectify_some(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (x[i] < 0 && i % 3 < 2) x[i] = i % 3 == 0 ? 0.0f : -0.0f;
    }
}

void conv_case_open(conv_case *c, const conv_problem *problem, int n, unsigned seed)
{
    size_t pixels = (size_t)n * problem->side * problem->side;
    *c = (conv_case){.problem = *problem, .n = n};
    c->x_count = pixels * problem->in;
    c->y_count = pixels * problem->out / (problem->pool ? 4 : 1);
    c->w_count = (size_t)problem->kernel * problem->kernel * problem->in * problem->out;
    c->b_count = (size_t)problem->out;
    c->x = filled(c->x_count, seed);
    if (problem->input_is_relu) rectify_some(c->x, c->x_count);
    c->w = filled(c->w_count, seed + 1);
    c->b = filled(c->b_count, seed + 2);
    c->dy = filled(c->y_count, seed + 3);
    c->pool_argmax = malloc(c->y_count);
    ck_assert_ptr_nonnull(c->pool_argmax);
    for (size_t i = 0; i < c->y_count; i++) c->pool_argmax[i] = (uint8_t)(((i + seed) * 2654435761u) >> 16 & 3);
}

void conv_case_close(conv_case *c) { free(c->x), free(c->w), free(c->b), free(c->dy), free(c->pool_argmax); }

size_t conv_case_result_count(const conv_case *c, conv_pass pass)
{
    size_t counts[CONV_PASSES] = {c->y_count, c->x_count, c->w_count + c->b_count};
    return counts[pass];
}

/* Operands in the form that the problem asks for; the caller frees it. */
static float *operand(const float *values, size_t count, bool narrow)
{
    float *copy = poisoned(count);
    if (narrow)
        bf16_round_array((bf16 *)copy, values, count, 1);
    else
        memcpy(copy, values, count * sizeof *copy);
    return copy;
}

/* Fills in the operands that the pass reads, and `first` and `second` as what it writes; all else stays NULL. */
static void lay_out(const conv_case *c, conv_pass pass, const float *x, const float *dy, conv_arguments *arguments, float *first,
                    float *second)
{
    switch (pass) {
    case CONV_FORWARD: arguments->x = x, arguments->w = c->w, arguments->b = c->b, arguments->y = first; break;
    case CONV_INPUT_GRAD:
        arguments->w = c->w, arguments->dy = dy, arguments->dx = first;
        if (c->problem.input_is_relu) arguments->x = x;
        break;
    default: arguments->x = x, arguments->dy = dy, arguments->dw = first, arguments->db = second; break;
    }
}

/* bfloat16 results become floats in place, from behind. */
static void widen_result(float *result, size_t count)
{
    for (size_t i = count; i-- > 0;) result[i] = bf16_widen(((bf16 *)result)[i]);
}

static float *run_plan(const conv_case *c, conv_plan *plan)
{
    size_t all = conv_case_result_count(c, plan->pass), rest = plan->pass == CONV_WEIGHT_GRAD ? c->b_count : 0;
    size_t workspace_count = plan->workspace_bytes / sizeof(float) + 1;
    bool narrow = plan->pass == CONV_FORWARD ? c->problem.bf16_y : plan->pass == CONV_INPUT_GRAD && c->problem.bf16_x;
    float *x = operand(c->x, c->x_count, c->problem.bf16_x), *dy = operand(c->dy, c->y_count, c->problem.bf16_y);
    float *result = poisoned(all), *second = poisoned(rest), *workspace = poisoned(workspace_count);
    conv_arguments arguments = {.n = c->n, .workspace = workspace};
    lay_out(c, plan->pass, x, dy, &arguments, result, second);
    if (c->problem.pool) arguments.pool_argmax = c->pool_argmax;
    if (plan->prepare) plan->prepare(plan, c->w);
    conv_plan_run(plan, &arguments);
    ck_assert(guard_intact(second, rest) && guard_intact(workspace, workspace_count));
    ck_assert(guard_intact(result, all - rest));
    if (narrow) {
        ck_assert(guard_intact(result, (all + 1) / 2));
        widen_result(result, all);
    }
    memcpy(result + all - rest, second, rest * sizeof *result);
    free(second), free(workspace), free(x), free(dy);
    return result;
}

float *conv_case_run(const conv_case *c, const conv_algorithm *algorithm, conv_pass pass, int threads)
{
    conv_problem problem = c->problem;
    conv_plan plan;
    float *result = NULL;
    problem.threads = threads;
    problem.precision = problem.bf16_x || problem.bf16_y ? PRECISION_BF16 : algorithm->precision;
    vgg_status status = conv_plan_open(algorithm, &problem, pass, &plan);
    ck_assert_msg(status == VGG_OK || status == VGG_DECLINED, "%s: %s", algorithm->name, vgg_message());
    if (status == VGG_OK) result = run_plan(c, &plan);
    conv_plan_close(&plan);
    return result;
}

/* emulated-bf16: rounds the operands to bf16 and has them multiplied by the first fp32 row that accepts the problem and does not
 * transform its operands. A product of two bf16 numbers is exact in fp32, so that this is bf16 arithmetic with fp32 accumulation,
 * and differs from hardware's only in the order of summation. It runs on every machine, and the faster bf16 rows are compared with
 * it.
 */
#include "conv/emulated_bf16.h"

#include <stdlib.h>

#include "vgg11/base/memory.h"
#include "vgg11/kernels/bf16.h"

static conv_plan *inner_plan(const conv_plan *plan) { return plan->state; }

const conv_algorithm *emulated_bf16_inner(const conv_plan *plan) { return inner_plan(plan)->algorithm; }

static size_t weight_count(const conv_problem *p) { return (size_t)p->kernel * p->kernel * p->in * p->out; }

static size_t pixel_count(const conv_problem *p, int images) { return (size_t)images * p->side * p->side; }

/* Of x or dy, rounded. Each pass rounds the operands that it reads: w, x and dy are all there are. */
static size_t rounded_bytes(const conv_problem *p, int channels)
{
    return vgg_round_up(pixel_count(p, p->batch) * channels * sizeof(float), VGG_ALIGNMENT_BYTES);
}

static const float *round_operand(const conv_plan *plan, float *out, const float *in, int images, int channels)
{
    bf16_round_floats(out, in, pixel_count(&plan->problem, images) * channels, plan->problem.threads);
    return out;
}

static void prepare(conv_plan *plan, const float *w)
{
    bf16_round_floats(plan->packed, w, weight_count(&plan->problem), plan->problem.threads);
    conv_plan *inner = inner_plan(plan);
    if (inner->prepare) inner->prepare(inner, plan->packed);
}

static void run(const conv_plan *plan, const conv_arguments *arguments)
{
    const conv_problem *p = &plan->problem;
    const conv_plan *inner = inner_plan(plan);
    conv_arguments rounded = *arguments;
    char *free_space = (char *)arguments->workspace + inner->workspace_bytes;
    rounded.w = plan->packed;
    if (plan->pass != CONV_INPUT_GRAD) {
        rounded.x = round_operand(plan, (float *)free_space, arguments->x, arguments->n, p->in);
        free_space += rounded_bytes(p, p->in);
    }
    if (plan->pass != CONV_FORWARD) {
        rounded.dy = round_operand(plan, (float *)free_space, arguments->dy, arguments->n, p->out);
    }
    inner->run(inner, &rounded);
}

static void close_inner(conv_plan *plan)
{
    conv_plan_close(inner_plan(plan));
    free(plan->state);
}

/* A transform of rounded operands is no bfloat16 number: products of transforms would be those of no other bf16 row. */
static bool multiplies_operands(const conv_algorithm *row) { return row->precision == PRECISION_FP32 && !row->transforms_operands; }

static vgg_status open_inner(const conv_problem *problem, conv_pass pass, conv_plan *inner)
{
    conv_problem fp32 = *problem;
    fp32.precision = PRECISION_FP32;
    fp32.pool = fp32.input_is_relu = fp32.bf16_x = fp32.bf16_y = false; /* conv_plan_run() does these */
    for (const conv_algorithm *const *row = conv_algorithms; *row; row++) {
        if (!multiplies_operands(*row)) continue;
        vgg_status status = conv_plan_open(*row, &fp32, pass, inner);
        if (status != VGG_DECLINED) return status;
    }
    return vgg_fail(VGG_DECLINED, "no fp32 algorithm without transforms accepts this problem");
}

static vgg_status make_plan(conv_plan *plan)
{
    const conv_problem *p = &plan->problem;
    conv_plan *inner = malloc(sizeof *inner);
    if (!inner) return vgg_fail(VGG_UNAVAILABLE, "out of memory for a convolution plan");
    vgg_status status = open_inner(p, plan->pass, inner);
    if (status != VGG_OK) {
        free(inner);
        return status;
    }
    inner->workspace_bytes = vgg_round_up(inner->workspace_bytes, VGG_ALIGNMENT_BYTES);
    plan->workspace_bytes = inner->workspace_bytes;
    if (plan->pass != CONV_INPUT_GRAD) plan->workspace_bytes += rounded_bytes(p, p->in);
    if (plan->pass != CONV_FORWARD) plan->workspace_bytes += rounded_bytes(p, p->out);
    if (plan->pass != CONV_WEIGHT_GRAD) {
        plan->packed_bytes = weight_count(p) * sizeof(float);
        plan->prepare = prepare;
    }
    plan->state = inner;
    plan->close = close_inner;
    plan->run = run;
    return VGG_OK;
}

const conv_algorithm conv_emulated_bf16 = {
    .name = "emulated-bf16",
    .former_name = "bf16-portable",
    .good_when = "the CPU has no bf16 arithmetic",
    .precision = PRECISION_BF16,
    .tolerance = {1e-2f, 1e-2f, 1e-2f},
    .plan = make_plan,
};

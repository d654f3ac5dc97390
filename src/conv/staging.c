/* A row computes on whole fp32 maps, unless its flags say that it does more. Where the caller's maps are pooled, masked or bfloat16
 * and the row's are not, they are staged: converted, unpooled, pooled or masked, with a copy in the workspace. */
#include "conv/staging.h"

#include "vgg11/kernels/bf16.h"
#include "vgg11/kernels/pool.h"
#include "vgg11/base/memory.h"

/* Bytes of the staged copy of each map; 0 for a map that the row reads or writes in place. */
typedef struct {
    size_t x;      /* x as fp32 */
    size_t dy;     /* dy as fp32, or unpooled in the row's type */
    size_t result; /* y as fp32, or before pooling in the row's type; or dx as fp32 */
} staging;

static size_t x_count(const conv_problem *p, int n) { return (size_t)n * (size_t)p->side * (size_t)p->side * (size_t)p->in; }

static size_t map_count(const conv_problem *p, int n) { return (size_t)n * (size_t)p->side * (size_t)p->side * (size_t)p->out; }

static size_t y_count(const conv_problem *p, int n) { return map_count(p, n) / (p->pool ? 4 : 1); }

static bool unpooled(const conv_plan *plan) { return plan->problem.pool && !(plan->flags & CONV_FUSES_POOL); }

static bool widened(const conv_plan *plan, bool bf16_map) { return bf16_map && !(plan->flags & CONV_NATIVE_BF16); }

/* The type of y and dy that the row itself reads and writes. */
static bool row_y_is_bf16(const conv_plan *plan) { return plan->problem.bf16_y && (plan->flags & CONV_NATIVE_BF16); }

static size_t y_staging_bytes(const conv_plan *plan)
{
    const conv_problem *p = &plan->problem;
    if (unpooled(plan)) return map_count(p, p->batch) * (row_y_is_bf16(plan) ? sizeof(bf16) : sizeof(float));
    return widened(plan, p->bf16_y) ? y_count(p, p->batch) * sizeof(float) : 0;
}

static staging staging_of(const conv_plan *plan)
{
    const conv_problem *p = &plan->problem;
    bool gradient = plan->pass == CONV_INPUT_GRAD,
         reads_x = !gradient || (p->input_is_relu && (plan->flags & CONV_FUSES_RELU_GRAD));
    size_t x = widened(plan, p->bf16_x) ? vgg_round_up(x_count(p, p->batch) * sizeof(float), VGG_ALIGNMENT_BYTES) : 0;
    size_t y = vgg_round_up(y_staging_bytes(plan), VGG_ALIGNMENT_BYTES);
    staging d = {.x = reads_x ? x : 0};
    d.dy = plan->pass == CONV_FORWARD ? 0 : y;
    d.result = plan->pass == CONV_FORWARD ? y : gradient ? x : 0;
    return d;
}

size_t conv_staging_bytes(const conv_plan *plan)
{
    staging d = staging_of(plan);
    return d.x + d.dy + d.result;
}

static pool_shape pooling_of(const conv_problem *p, int n) { return (pool_shape){n, p->side, p->out, p->threads}; }

static void take_x(const conv_plan *plan, const conv_arguments *given, conv_arguments *own, void *space)
{
    own->x = space;
    bf16_widen_array(space, given->x16, x_count(&plan->problem, given->n), plan->problem.threads);
}

static void take_dy(const conv_plan *plan, const conv_arguments *given, conv_arguments *own, void *space)
{
    const conv_problem *p = &plan->problem;
    pool_shape shape = pooling_of(p, given->n);
    own->dy = space;
    if (unpooled(plan)) {
        pool_map dy = p->bf16_y ? (pool_map){.bf16 = (bf16 *)(uintptr_t)given->dy16}
                                : (pool_map){.fp32 = (float *)(uintptr_t)given->dy};
        pool_map map = row_y_is_bf16(plan) ? (pool_map){.bf16 = space} : (pool_map){.fp32 = space};
        pool_backward(&shape, dy, given->pool_argmax, map);
    } else {
        bf16_widen_array(space, given->dy16, y_count(p, given->n), p->threads);
    }
}

static void give_y(const conv_plan *plan, const conv_arguments *given, void *space)
{
    const conv_problem *p = &plan->problem;
    pool_shape shape = pooling_of(p, given->n);
    if (unpooled(plan)) {
        pool_map map = row_y_is_bf16(plan) ? (pool_map){.bf16 = space} : (pool_map){.fp32 = space};
        pool_map y = p->bf16_y ? (pool_map){.bf16 = given->y16} : (pool_map){.fp32 = given->y};
        pool_forward(&shape, map, y, given->pool_argmax);
    } else {
        bf16_round_array(given->y16, space, y_count(p, given->n), p->threads);
    }
}

static void mask_dx(const conv_problem *p, const conv_arguments *given)
{
    if (p->bf16_x)
        relu_backward_bf16(given->x16, given->dx16, x_count(p, given->n), p->threads);
    else
        relu_backward(given->x, given->dx, x_count(p, given->n), p->threads);
}

void conv_plan_run(const conv_plan *plan, const conv_arguments *given)
{
    const conv_problem *p = &plan->problem;
    const staging d = staging_of(plan);
    conv_arguments own = *given;
    char *x = (char *)given->workspace + plan->run_bytes, *dy = x + d.x, *result = dy + d.dy;
    if (d.x) take_x(plan, given, &own, x);
    if (d.dy) take_dy(plan, given, &own, dy);
    if (d.result) own.y = own.dx = (float *)result;
    plan->run(plan, &own);
    if (d.result && plan->pass == CONV_FORWARD) give_y(plan, given, result);
    if (d.result && plan->pass == CONV_INPUT_GRAD)
        bf16_round_array(given->dx16, (const float *)result, x_count(p, given->n), p->threads);
    if (plan->pass == CONV_INPUT_GRAD && p->input_is_relu && !(plan->flags & CONV_FUSES_RELU_GRAD)) mask_dx(p, given);
}

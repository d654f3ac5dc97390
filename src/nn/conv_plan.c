/* Opening and closing one plan: what all algorithms share. */
#include "vgg11/nn/conv.h"

#include <string.h>

#include "nn/pool.h"
#include "vgg11/base/memory.h"

/* A row of 32-bit arithmetic serves a bf16 run too, since it errs less; not the other way round. */
static vgg_status check_precision(const conv_algorithm *algorithm, const conv_problem *problem)
{
    if (algorithm->precision == PRECISION_FP32 || problem->precision == algorithm->precision) return VGG_OK;
    return vgg_fail(VGG_DECLINED, "computes in bf16, fp32 is asked for");
}

/* Of the map before pooling. */
static size_t map_bytes(const conv_problem *p)
{
    return (size_t)p->batch * (size_t)p->side * (size_t)p->side * (size_t)p->out * sizeof(float);
}

vgg_status conv_plan_open(const conv_algorithm *algorithm, const conv_problem *problem, conv_pass pass, conv_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->algorithm = algorithm;
    plan->problem = *problem;
    plan->pass = pass;
    VGG_TRY(check_precision(algorithm, problem));
    VGG_TRY(algorithm->plan(plan));
    plan->run_bytes = vgg_round_up(plan->workspace_bytes, VGG_ALIGNMENT_BYTES);
    if (problem->pool && !plan->pools) plan->workspace_bytes = plan->run_bytes + map_bytes(problem);
    vgg_status status = vgg_map(plan->packed_bytes, &plan->packed);
    if (status != VGG_OK) conv_plan_close(plan);
    return status;
}

void conv_plan_close(conv_plan *plan)
{
    if (plan->close) plan->close(plan);
    vgg_unmap(plan->packed, plan->packed_bytes);
    memset(plan, 0, sizeof *plan);
}

/* Through a map of its own: forward writes it and then pools, the gradients spread dy over it first. */
static void run_through_map(const conv_plan *plan, const conv_arguments *arguments)
{
    const conv_problem *p = &plan->problem;
    pool_shape shape = {arguments->n, p->side, p->out, p->threads};
    conv_arguments unpooled = *arguments;
    float *map = (float *)((char *)arguments->workspace + plan->run_bytes);
    if (plan->pass == CONV_FORWARD) {
        unpooled.y = map;
        plan->run(plan, &unpooled);
        pool_forward(&shape, map, arguments->y, arguments->chosen);
    } else {
        pool_backward(&shape, arguments->dy, arguments->chosen, map);
        unpooled.dy = map;
        plan->run(plan, &unpooled);
    }
}

void conv_plan_run(const conv_plan *plan, const conv_arguments *arguments)
{
    const conv_problem *p = &plan->problem;
    if (p->pool && !plan->pools)
        run_through_map(plan, arguments);
    else
        plan->run(plan, arguments);
    if (plan->pass == CONV_INPUT_GRADIENT && p->rectified && !plan->masks) {
        size_t count = (size_t)arguments->n * (size_t)p->side * (size_t)p->side * (size_t)p->in;
        relu_backward(arguments->x, arguments->dx, count, p->threads);
    }
}

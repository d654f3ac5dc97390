/* Opening and closing a plan, as for all algorithms. */
#include "vgg11/conv/conv.h"

#include <string.h>

#include "conv/staging.h"
#include "vgg11/base/memory.h"

/* A bf16 run may use rows of fp32, whose error is smaller, but an fp32 run no rows of bf16. */
static vgg_status check_precision(const conv_algorithm *algorithm, const conv_problem *problem)
{
    if (algorithm->precision == PRECISION_FP32 || problem->precision == algorithm->precision) return VGG_OK;
    return vgg_fail(VGG_DECLINED, "computes in bf16, fp32 is asked for");
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
    plan->workspace_bytes = plan->run_bytes + conv_staging_bytes(plan);
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

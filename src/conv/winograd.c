/* Winograd's minimal filtering F(4x4,3x3) (Lavin & Gray, arXiv:1509.09308): 36 products for 16 outputs instead of 144. */
#include "conv/winograd.h"

/* A smaller map fills at most half of a tile in each direction. */
enum { SMALLEST_SIDE = 3 };

static vgg_status plan_with(conv_plan *plan, const winograd_transforms *form)
{
    if (plan->problem.kernel != 3) return vgg_fail(VGG_DECLINED, "transforms 3x3 kernels only");
    if (plan->problem.side < SMALLEST_SIDE)
        return vgg_fail(VGG_DECLINED, "its tiles of 4x4 pixels would be mostly padding on maps of %dx%d", plan->problem.side,
                        plan->problem.side);
    winograd_plan(plan, form);
    return VGG_OK;
}

static vgg_status plan_fp32(conv_plan *plan) { return plan_with(plan, &simd_kernels_select()->winograd); }

static vgg_status plan_bf16(conv_plan *plan)
{
    const simd_kernels *kernels = simd_kernels_select_bf16();
    return kernels ? plan_with(plan, &kernels->winograd) : vgg_fail(VGG_DECLINED, "needs AVX512_BF16; this CPU has not");
}

const conv_algorithm conv_winograd = {
    .name = "winograd",
    .good_when = "maps of 4x4 pixels and more, many channels: a quarter of the products, in tiles of 4x4",
    .precision = PRECISION_FP32,
    .transforms_operands = true,
    .tolerance = {1e-5f, 1e-5f, 1e-5f}, /* worst seen on VGG11 shapes: 3.7e-6, 4.8e-6, 7.0e-6 */
    .plan = plan_fp32,
};

/* Points are rounded to bfloat16 after the transforms, which costs four to five times the error of rounding the operands alone. */
const conv_algorithm conv_winograd_bf16 = {
    .name = "winograd-bf16",
    .good_when = "as winograd, where the CPU multiplies bf16 pairs (AVX512_BF16) but has no AMX",
    .precision = PRECISION_BF16,
    .transforms_operands = true,
    .tolerance = {5e-2f, 5e-2f, 5e-2f}, /* of single results; root mean square 1 % */
    .plan = plan_bf16,
};

/* The rows that multiply transforms: Winograd's minimal filtering F(4x4,3x3) (Lavin & Gray, arXiv:1509.09308), 36 products for 16
 * outputs instead of 144, and its like for maps of 2x2 pixels. */
#include "conv/winograd.h"

/* A smaller map fills at most half of a tile in each direction. */
enum { SMALLEST_SIDE = 3 };

static void plan_with(conv_plan *plan, const winograd_transforms *form)
{
    bool bf16_maps = form->kernels->per_word > 1 && plan->problem.bf16_x && plan->problem.bf16_y;
    plan->state = (void *)form;
    plan->flags = CONV_FUSES_POOL | CONV_FUSES_RELU_GRAD | (bf16_maps ? CONV_NATIVE_BF16 : 0);
    if (plan->pass == CONV_WEIGHT_GRAD)
        winograd_plan_weight_grad(plan);
    else
        winograd_plan_forward(plan);
}

static vgg_status plan_4x4(conv_plan *plan, const winograd_transforms *form)
{
    if (plan->problem.kernel != 3) return vgg_fail(VGG_DECLINED, "transforms 3x3 kernels only");
    if (plan->problem.side < SMALLEST_SIDE)
        return vgg_fail(VGG_DECLINED, "its tiles of 4x4 pixels would be mostly padding on maps of %dx%d", plan->problem.side,
                        plan->problem.side);
    plan_with(plan, form);
    return VGG_OK;
}

static vgg_status plan_fp32(conv_plan *plan) { return plan_4x4(plan, &simd_kernels_select()->winograd); }

static vgg_status plan_bf16(conv_plan *plan)
{
    const simd_kernels *kernels = simd_kernels_select_bf16();
    return kernels ? plan_4x4(plan, &kernels->winograd) : vgg_fail(VGG_DECLINED, "needs AVX512_BF16; this CPU has not");
}

const conv_algorithm conv_winograd = {
    .name = "winograd",
    .good_when = "maps of 4x4 pixels and more, many channels: a quarter of the products, in tiles of 4x4",
    .precision = PRECISION_FP32,
    .transforms_operands = true,
    .tolerance = {1e-5f, 1e-5f, 1e-5f}, /* worst seen on VGG11 shapes: 3.7e-6, 4.8e-6, 7.0e-6 */
    .plan = plan_fp32,
};

/* From one whole tile on, and where products outweigh the transforms: two to three times as fast as direct-bf16. */
static bool is_expected(const conv_problem *problem, conv_pass pass)
{
    const int tile = 4, many_channels = 64;
    (void)pass;
    return problem->side >= tile && problem->in >= many_channels;
}

/* Transforms are rounded to bfloat16, which costs four to five times the error of rounding the operands alone. */
const conv_algorithm conv_winograd_bf16 = {
    .name = "winograd-bf16",
    .good_when = "as winograd, where the CPU multiplies bf16 pairs (AVX512_BF16)",
    .precision = PRECISION_BF16,
    .transforms_operands = true,
    .tolerance = {6e-2f, 6e-2f, 6e-2f}, /* of single results, worst seen 5.5e-2, behind a ReLU; root mean square 1 % */
    .expected = is_expected,
    .plan = plan_bf16,
};

/* On maps of 2x2 pixels most taps meet padding, and what is left is a 2x2 Toeplitz matrix of 2x2 Toeplitz matrices, which nine
 * products multiply instead of sixteen. The transforms only add and subtract, so the error stays that of the sums. */
static vgg_status plan_2x2(conv_plan *plan)
{
    if (plan->problem.kernel != 3 || plan->problem.side != 2)
        return vgg_fail(VGG_DECLINED, "does 3x3 kernels on maps of 2x2 pixels only");
    plan_with(plan, &simd_kernels_select()->winograd_2x2);
    return VGG_OK;
}

const conv_algorithm conv_winograd_2x2 = {
    .name = "winograd-2x2",
    .former_name = "toeplitz",
    .good_when = "maps of 2x2 pixels: nine products for the sixteen that padding leaves",
    .precision = PRECISION_FP32,
    .transforms_operands = true,
    .tolerance = {1e-5f, 1e-5f, 1e-5f},
    .plan = plan_2x2,
};

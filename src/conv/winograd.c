/* The rows that multiply transformed operands: Winograd's minimal filtering F(4x4,3x3) (Lavin & Gray, arXiv:1509.09308), 36
 * products for 16 outputs instead of 144, and an algorithm of the same transforms for whole maps of 2x2 pixels, 9 products instead
 * of 16. */
#include "conv/winograd.h"

/* Of a smaller map's only tile, three quarters or more would be padding. */
enum { SMALLEST_SIDE = 3 };

static void plan_with(conv_plan *plan, const winograd_transforms *transforms)
{
    bool bf16_maps = transforms->kernels->per_word > 1 && plan->problem.bf16_x && plan->problem.bf16_y;
    plan->state = (void *)transforms;
    plan->flags = CONV_FUSES_POOL | CONV_FUSES_RELU_GRAD | (bf16_maps ? CONV_NATIVE_BF16 : 0);
    if (plan->pass == CONV_WEIGHT_GRAD)
        winograd_plan_weight_grad(plan);
    else
        winograd_plan_forward(plan);
}

static vgg_status plan_4x4(conv_plan *plan, const winograd_transforms *transforms)
{
    if (plan->problem.kernel != 3) return vgg_fail(VGG_DECLINED, "transforms 3x3 kernels only");
    if (plan->problem.side < SMALLEST_SIDE)
        return vgg_fail(VGG_DECLINED, "its tiles of 4x4 pixels would be mostly padding on maps of %dx%d", plan->problem.side,
                        plan->problem.side);
    plan_with(plan, transforms);
    return VGG_OK;
}

/* Those of whole tiles, also where the map's edge cuts them; the transforms' own do not count. */
static double multiply_adds(const conv_problem *problem, const winograd_transforms *transforms, int images)
{
    double tiles = int_divide_up(problem->side, transforms->tile);
    return images * tiles * tiles * transforms->elements * problem->in * problem->out;
}

static double multiply_adds_4x4(const conv_problem *problem, conv_pass pass, int images)
{
    (void)pass;
    return multiply_adds(problem, &simd_kernels_select()->winograd, images);
}

static double multiply_adds_2x2(const conv_problem *problem, conv_pass pass, int images)
{
    (void)pass;
    return multiply_adds(problem, &simd_kernels_select()->winograd_2x2, images);
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
    .tolerance = {1e-5f, 1e-5f, 1e-5f}, /* largest errors seen on VGG11's shapes: 3.7e-6, 4.8e-6, 7.0e-6 */
    .plan = plan_fp32,
    .multiply_adds = multiply_adds_4x4,
};

/* Where a map has a whole tile or more, and so many channels that the products outweigh the transforms, this row was two to three
 * times as fast as direct-bf16. */
static bool is_expected(const conv_problem *problem, conv_pass pass)
{
    const int tile = 4, many_channels = 64;
    (void)pass;
    return problem->side >= tile && problem->in >= many_channels;
}

/* The transforms are rounded to bfloat16. The error is four to five times that of rounding the operands themselves. */
const conv_algorithm conv_winograd_bf16 = {
    .name = "winograd-bf16",
    .good_when = "as winograd, where the CPU multiplies bf16 pairs (AVX512_BF16)",
    .precision = PRECISION_BF16,
    .transforms_operands = true,
    .tolerance = {6e-2f, 6e-2f, 6e-2f}, /* largest error of a result seen: 5.5e-2, behind a ReLU; root mean square 1 % */
    .expected = is_expected,
    .plan = plan_bf16,
    .multiply_adds = multiply_adds_4x4,
};

/* On maps of 2x2 pixels most taps meet padding. What is left is a product with a 2x2 Toeplitz matrix of 2x2 Toeplitz matrices,
 * which takes nine products instead of sixteen. The transforms only add and subtract, so that the error is no larger than a
 * sum's. */
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
    .multiply_adds = multiply_adds_2x2,
};

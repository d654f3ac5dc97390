/* Maps of 2x2 pixels: most taps meet padding, and what is left is a 2x2 Toeplitz matrix of 2x2 Toeplitz matrices, which nine
 * products multiply instead of sixteen. The transforms only add and subtract, so the error stays that of the sums. */
#include "conv/winograd.h"

static vgg_status plan_2x2(conv_plan *plan)
{
    if (plan->problem.kernel != 3 || plan->problem.side != 2)
        return vgg_fail(VGG_DECLINED, "does 3x3 kernels on maps of 2x2 pixels only");
    winograd_plan(plan, &simd_kernels_select()->winograd_2x2);
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

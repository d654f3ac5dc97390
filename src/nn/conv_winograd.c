/* Winograd's minimal filtering F(4x4,3x3) (Lavin & Gray, arXiv:1509.09308): 36 products for 16 outputs instead of 144. */
#include "nn/conv_bilinear.h"

/* A smaller map fills at most half of a tile in each direction. */
enum { SMALLEST_SIDE = 3 };

static vgg_status plan_winograd(conv_plan *plan)
{
    if (plan->problem.kernel != 3) return vgg_fail(VGG_DECLINED, "transforms 3x3 kernels only");
    if (plan->problem.side < SMALLEST_SIDE)
        return vgg_fail(VGG_DECLINED, "its tiles of 4x4 pixels would be mostly padding on maps of %dx%d", plan->problem.side,
                        plan->problem.side);
    bilinear_plan(plan, &simd_kernels_select()->winograd);
    return VGG_OK;
}

const conv_algorithm conv_winograd = {
    .name = "winograd",
    .good_when = "maps of 4x4 pixels and more, many channels: a quarter of the products, in tiles of 4x4",
    .precision = PRECISION_FP32,
    .tolerance = {1e-5f, 1e-5f, 1e-5f}, /* worst seen on VGG11 shapes: 3.7e-6, 4.8e-6, 7.0e-6 */
    .plan = plan_winograd,
};

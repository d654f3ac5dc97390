/* What the two halves of the direct algorithm share: the map in position-major order.
 *
 * A map x[N][H][W][C] is copied once to [H][W][N][stride]. Then the pixels of one row h, from w0 to w1, of all images are
 * rows of a matrix at equal distance, and under one tap of the kernel all of them read pixels that exist, or none does. So
 * a 3x3 convolution is a sum of matrix products of the copy in place, without unrolling and without multiplying padding.
 */
#ifndef VGG11_CONV_DIRECT_H
#define VGG11_CONV_DIRECT_H

#include <stddef.h>

#include "vgg11/kernels/gemm.h"
#include "vgg11/conv/conv.h"

/* Output rows and columns whose tap lies inside the map, and the tap's distance. Empty if row_count or column_count is 0. */
typedef struct {
    int row_shift;
    int column_shift;
    int first_row;
    int row_count;
    int first_column;
    int column_count;
} direct_window;

direct_window direct_window_at(int side, int kernel, int tap);

/* Fills the plan of the weight gradient (direct_weight_grad.c). */
void direct_plan_weight_grad(conv_plan *plan);

#endif

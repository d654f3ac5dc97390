/* What the passes of the direct algorithm have in common: a copy of the map in position-major order.
 *
 * A map x[N][H][W][C] is copied once to [H][W][N][stride]. The pixels (h, w0 .. w1) of all images are then rows of a matrix at
 * equal distances, and under one tap of the kernel all images of a pixel read inside the map, or none does. So a 3x3 convolution is
 * a sum of matrix products that read the copy in place, without unrolling it (im2col) and without products with the padding.
 */
#ifndef VGG11_CONV_DIRECT_H
#define VGG11_CONV_DIRECT_H

#include <stddef.h>

#include "vgg11/kernels/gemm.h"
#include "vgg11/conv/conv.h"

/* The outputs whose input under one tap lies inside the map. None if row_count or column_count is 0. */
typedef struct {
    int row_shift;    /* from the output's row to the input's */
    int column_shift; /* from the output's column to the input's */
    int first_row;
    int row_count;
    int first_column;
    int column_count;
} direct_window;

/* The window of tap 0 .. kernel * kernel - 1, row by row, on a map of side x side pixels. */
direct_window direct_window_at(int side, int kernel, int tap);

/* Fills the plan of the weight gradient (direct_weight_grad.c). */
void direct_plan_weight_grad(conv_plan *plan);

#endif

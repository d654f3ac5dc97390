/* 2x2 maximum pooling with stride 2, its gradient, and the gradient of a ReLU. NHWC; OpenMP-parallel.
 * Dimension letters: N images, S = side of the map before pooling (even), C channels. */
#ifndef VGG11_KERNELS_POOL_H
#define VGG11_KERNELS_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "vgg11/kernels/bf16.h"

typedef struct {
    int n;
    int side;
    int channels;
    int threads;
} pool_shape;

/* A map as fp32 or as bfloat16; the other pointer is NULL. */
typedef struct {
    float *fp32;
    bf16 *bf16;
} pool_map;

/* y[N][S/2][S/2][C] = the largest of each 2x2 window of x[N][S][S][C]; pool_argmax, of y's shape or NULL, says which it is,
 * 2 * row + column in the window, the first of equals. A NaN is larger than all numbers. */
void pool_forward(const pool_shape *shape, pool_map x, pool_map y, uint8_t *pool_argmax);

/* dx[N][S][S][C] = dy[N][S/2][S/2][C] at the pixels that pool_argmax names, and 0 elsewhere. */
void pool_backward(const pool_shape *shape, pool_map dy, const uint8_t *pool_argmax, pool_map dx);

/* dy[i] = 0 where y[i] <= 0: the gradient through a ReLU whose output was y. In place. */
void relu_backward(const float *y, float *dy, size_t count, int threads);
void relu_backward_bf16(const bf16 *y, bf16 *dy, size_t count, int threads);

#endif

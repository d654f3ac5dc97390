/* Matrix products by the BLAS library, each on the calling thread alone. */
#ifndef VGG11_KERNELS_BLAS_H
#define VGG11_KERNELS_BLAS_H

#include <stdbool.h>
#include <stddef.h>

#include "vgg11/base/status.h"

/* Row-major matrix: element (i, j) is at data[i * stride + j]; or at data[j * stride + i] if it is transposed. */
typedef struct {
    const float *data;
    size_t stride;
    bool transposed;
} blas_matrix;

/* Once before blas_multiply(): VGG_DECLINED where the library is not to be had. */
vgg_status blas_open(void);

/* c[m][n] = a[m][k] b[k][n], added to what c holds if `add`. Any number of threads may call it at the same time. */
void blas_multiply(size_t m, size_t n, size_t k, blas_matrix a, blas_matrix b, bool add, float *c, size_t c_stride);

#endif

#include "vgg11/kernels/blas.h"

#include <cblas.h>

void blas_single_threaded(void) { openblas_set_num_threads(1); }

static CBLAS_TRANSPOSE order(blas_matrix matrix) { return matrix.transposed ? CblasTrans : CblasNoTrans; }

void blas_multiply(size_t m, size_t n, size_t k, blas_matrix a, blas_matrix b, bool add, float *c, size_t c_stride)
{
    cblas_sgemm(CblasRowMajor, order(a), order(b), (blasint)m, (blasint)n, (blasint)k, 1.0f, a.data, (blasint)a.stride, b.data,
                (blasint)b.stride, add ? 1.0f : 0.0f, c, (blasint)c_stride);
}

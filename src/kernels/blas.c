/* OpenBLAS, or another BLAS, loaded by hand and not by the linker: OpenBLAS starts threads as it is loaded, one for each processor
 * but one, unless a variable of its environment says otherwise by then. Nobody here gives them work; but where threads or memory are
 * limited it ends the process, or they never end. */
#include "vgg11/kernels/blas.h"

#include <cblas.h>
#include <dlfcn.h>
#include <stdlib.h>

static void *library; /* stays open */
static __typeof__(cblas_sgemm) *sgemm;
static const char *missing = "";

/* Before main(): no other thread looks at the environment yet. */
__attribute__((constructor)) static void load(void)
{
    static const char *const limits[] = {"OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS"};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) setenv(limits[i], "1", 1);
    library = dlopen(VGG_BLAS_SONAME, RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen(VGG_BLAS_FILE, RTLD_NOW | RTLD_LOCAL); /* where the dynamic linker does not look */
    if (library) sgemm = (__typeof__(sgemm))dlsym(library, "cblas_sgemm");
    if (!sgemm) missing = dlerror();
}

vgg_status blas_open(void) { return sgemm ? VGG_OK : vgg_fail(VGG_DECLINED, VGG_BLAS_NAME " cannot be loaded: %s", missing); }

static enum CBLAS_TRANSPOSE order(blas_matrix matrix) { return matrix.transposed ? CblasTrans : CblasNoTrans; }

void blas_multiply(size_t m, size_t n, size_t k, blas_matrix a, blas_matrix b, bool add, float *c, size_t c_stride)
{
    sgemm(CblasRowMajor, order(a), order(b), (int)m, (int)n, (int)k, 1.0f, a.data, (int)a.stride, b.data, (int)b.stride,
          add ? 1.0f : 0.0f, c, (int)c_stride);
}

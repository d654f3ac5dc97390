/* Kernels in vectors of four floats, as every 64-bit processor has them, and the choice between the tables. */
#include "vgg11/base/cpu.h"

#include "nn/simd_kernels.h"

#define SIMD_TABLE simd_kernels_portable
#define SIMD_WIDTH 4
#define SIMD_ROWS 6
#define SIMD_STREAM(to, value) store((to), (value))
#define SIMD_FENCE() (void)0
#define SIMD_INTERLEAVE_LOW 0, 4, 1, 5
#define SIMD_INTERLEAVE_HIGH 2, 6, 3, 7

#include "nn/simd_gemm.inc.h"
#include "nn/simd_pool.inc.h"
#include "nn/simd_bilinear.inc.h"

SIMD_TILE(1) SIMD_TILE(2) SIMD_TILE(3) SIMD_TILE(4) SIMD_TILE(5) SIMD_TILE(6)

#define SIMD_TILES(form) {NULL, form##_1, form##_2, form##_3, form##_4, form##_5, form##_6}

const simd_kernels simd_kernels_portable = {
    .name = "portable",
#include "nn/simd_table.inc.h"
};

const simd_kernels *simd_kernels_select(void)
{
#if defined(__x86_64__)
    const cpu_features *cpu = cpu_detect();
    if (cpu->avx512) return &simd_kernels_avx512;
    if (cpu->avx2) return &simd_kernels_avx2;
#endif
    return &simd_kernels_portable;
}

const simd_kernels *simd_kernels_select_bf16(void)
{
#if defined(__x86_64__)
    if (cpu_detect()->avx512_bf16) return &simd_kernels_avx512_bf16;
#endif
    return NULL;
}

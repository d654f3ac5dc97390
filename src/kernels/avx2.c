/* Kernels for AVX2 with FMA: 12 of the 16 registers hold the sums of a gemm tile. */
#include <immintrin.h>

#include "vgg11/kernels/kernels.h"

#define SIMD_TABLE simd_kernels_avx2
#define SIMD_WIDTH 8
#define SIMD_ROWS 6
#define SIMD_STREAM(to, value) _mm256_stream_ps((to), (__m256)(value))
#define SIMD_FENCE() _mm_sfence()
#define SIMD_INTERLEAVE_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define SIMD_INTERLEAVE_HIGH 4, 12, 5, 13, 6, 14, 7, 15

#include "kernels/gemm_tile.inc.h"
#include "kernels/elementwise.inc.h"
#include "kernels/winograd_transforms.inc.h"

/* Expansions without a semicolon, which the formatter does not understand. */
/* clang-format off */
SIMD_TILE(1) SIMD_TILE(2) SIMD_TILE(3) SIMD_TILE(4) SIMD_TILE(5) SIMD_TILE(6)

#define SIMD_TILES(form) {NULL, form##_1, form##_2, form##_3, form##_4, form##_5, form##_6}

const simd_kernels simd_kernels_avx2 = {
    .name = "avx2",
#include "kernels/table.inc.h"
};
/* clang-format on */

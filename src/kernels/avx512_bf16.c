/* Kernels for AVX-512 with products of bfloat16 pairs (VDPBF16PS), which take denormals for zero. */
#include <immintrin.h>

#include "vgg11/kernels/kernels.h"

#define SIMD_TABLE simd_kernels_avx512_bf16
#define SIMD_WIDTH 16
#define SIMD_ROWS 14
#define SIMD_PER_WORD 2
#define SIMD_MULTIPLY_ADD(sum, factor, b) \
    (simd_value) _mm512_dpbf16_ps((__m512)(sum), (__m512bh)_mm512_set1_ps(factor), (__m512bh)(b))
#define SIMD_BESIDE(numbers) (simd_value) _mm512_cvtne2ps_pbh((__m512)(numbers)[1], (__m512)(numbers)[0])
#define SIMD_PAIRED(numbers) pair(SIMD_BESIDE(numbers))
#define SIMD_ROUND(value) (simd_halves) _mm512_cvtneps_pbh((__m512)(value))
#define SIMD_STREAM(to, value) _mm512_stream_ps((to), (__m512)(value))
#define SIMD_FENCE() _mm_sfence()
#define SIMD_INTERLEAVE_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SIMD_INTERLEAVE_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31

#include "kernels/gemm_tile.inc.h"
#include "kernels/elementwise.inc.h"

/* Puts number i of the lower half and number i of the upper half into one word. */
SIMD_INLINE simd_value pair(simd_value halves)
{
    typedef short places __attribute__((vector_size(64)));
    const places from = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                         8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return (simd_value)_mm512_permutexvar_epi16((__m512i)from, (__m512i)halves);
}

#include "kernels/winograd_transforms.inc.h"

/* Expansions without a semicolon, which the formatter does not understand. */
/* clang-format off */
SIMD_TILE(1) SIMD_TILE(2) SIMD_TILE(3) SIMD_TILE(4) SIMD_TILE(5) SIMD_TILE(6) SIMD_TILE(7)
SIMD_TILE(8) SIMD_TILE(9) SIMD_TILE(10) SIMD_TILE(11) SIMD_TILE(12) SIMD_TILE(13) SIMD_TILE(14)

#define SIMD_TILES(form)                                                                                               \
    {NULL, form##_1, form##_2, form##_3, form##_4, form##_5, form##_6, form##_7, form##_8, form##_9, form##_10,        \
     form##_11, form##_12, form##_13, form##_14}

const simd_kernels simd_kernels_avx512_bf16 = {
    .name = "avx512-bf16",
#include "kernels/table.inc.h"
};
/* clang-format on */

/* Kernels in vectors of four floats, which every 64-bit processor has. */
#include "vgg11/kernels/kernels.h"

#define SIMD_TABLE simd_kernels_portable
#define SIMD_WIDTH 4
#define SIMD_ROWS 6
#define SIMD_STREAM(to, value) store((to), (value))
#define SIMD_FENCE() (void)0
#define SIMD_INTERLEAVE_LOW 0, 4, 1, 5
#define SIMD_INTERLEAVE_HIGH 2, 6, 3, 7

#include "kernels/gemm_tile.inc.h"
#include "kernels/elementwise.inc.h"
#include "kernels/winograd_transforms.inc.h"

/* Expansions without a semicolon, which the formatter does not understand. */
/* clang-format off */
SIMD_TILE(1) SIMD_TILE(2) SIMD_TILE(3) SIMD_TILE(4) SIMD_TILE(5) SIMD_TILE(6)

#define SIMD_TILES(form) {NULL, form##_1, form##_2, form##_3, form##_4, form##_5, form##_6}

const simd_kernels simd_kernels_portable = {
    .name = "portable",
#include "kernels/table.inc.h"
};
/* clang-format on */

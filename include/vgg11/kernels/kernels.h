/* Inner kernels in the widest vectors that the processor has: one table for each instruction set, all built from the same templates
 * (src/kernels/<name>.inc.h). simd_kernels_select() chooses one when a plan is made.
 *
 * The one matrix product here is a gemm tile: C[rows][panel] = A[rows][depth] B[depth][panel], whose sums stay in registers. B is
 * packed, one row of `panel` floats after the other, 64-byte aligned. Each element of C is one chain of fused multiply-adds in the
 * order of depth, however the rows are cut into tiles, so that results depend on neither tiling nor threads.
 */
#ifndef VGG11_KERNELS_KERNELS_H
#define VGG11_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows and columns of the largest gemm tile of any table. */
enum { SIMD_ROWS_MAX = 14, SIMD_PANEL_MAX = 32 };

/* Most channels that one call of a transform takes. */
enum { TRANSFORM_CHANNELS_MAX = 128 };

/* Floats that will be wanted soon, which a gemm tile prefetches into the L2 cache while it computes: step k of its depth prefetches
 * `panel` floats at first + (k & row_mask) * stride + (k >> row_shift) * panel. */
typedef struct {
    const float *first;
    size_t stride;
    size_t row_mask;
    unsigned row_shift;
} gemm_prefetch;

/* `count` rows, one panel wide, at the same offsets of two arrays: by_columns_fetching prefetches them all, a few in each step of
 * its depth, since many prefetches at once would delay the products. */
typedef struct {
    const float *first[2];
    size_t stride; /* floats from row to row */
    size_t count;
} gemm_prefetch_rows;

typedef struct {
    const float *a; /* element (m, k) at a[m * a_stride + k] (by_rows) or a[m + k * a_stride] (by_columns) */
    size_t a_stride;
    const float *b; /* [depth][panel] */
    float *c;       /* [rows][c_stride] */
    size_t c_stride;
    size_t depth;
    bool accumulate;              /* start from c instead of zero */
    bool stream;                  /* store past the caches: c and c_stride must be 64-byte aligned */
    gemm_prefetch next;           /* prefetched by by_rows_fetching and by_rows_packing */
    gemm_prefetch_rows next_rows; /* prefetched by by_columns_fetching */
    /* by_rows_packing reads `unpacked` instead of b, and leaves it in `packed` for the tiles that follow. */
    const float *unpacked; /* row k at k * unpacked_stride */
    size_t unpacked_stride;
    float *packed; /* [depth][panel] */
} gemm_tile;

typedef void (*gemm_tile_function)(const gemm_tile *tile);

/* A Winograd tile of a map[side][side][channels]. If `pooled`, the map in memory is the 2x2 pooled one, [side/2][side/2][channels]: a
 * source then counts as having its values at the pool_argmax pixels and zeros elsewhere, and a result is pooled before it is stored. */
typedef struct {
    const void *map;            /* the tile's first channel of the map's first pixel: float, or bfloat16 if `bf16` */
    bool bf16;                  /* in a table of bfloat16 pairs only */
    const uint8_t *pool_argmax; /* of a pooled source, laid out like the map: 2 * row + column in the window; else NULL */
    bool pooled;
    int side;
    int row;    /* of the tile's upper left pixel; may lie outside the map, which is zero there */
    int column; /* of the tile's upper left pixel; may lie outside the map, which is zero there */
    size_t channels;
    size_t count; /* channels of the tile, from the first on */
} map_tile;

/* How a tile of results is stored: the bias is added, then the ReLU, pooling and the mask are applied, as far as they are asked
 * for. */
typedef struct {
    void *map;            /* the tile's map, to be written */
    uint8_t *pool_argmax; /* of a pooled tile, laid out like the map; or NULL */
    const void *positive; /* results are 0 where this map, of the tile's type and layout, is <= 0; or NULL. Not if pooled */
    const float *bias;    /* [tile->count] or NULL */
    bool relu;
} tile_epilogue;

typedef struct simd_kernels simd_kernels;

/* The transforms of a Winograd algorithm for 3x3 kernels, which makes tile x tile outputs from `elements` products instead of 9
 * tile^2. A transform makes `elements` numbers for each channel of a tile, or each pair of channels of the kernel; an inverse
 * transform makes the results from the summed products. Element p lies p * stride words after element 0. */
typedef struct {
    const simd_kernels *kernels; /* the table that this is part of, whose gemm tiles multiply the elements */
    int tile;                    /* outputs along a side of a tile */
    int margin;                  /* inputs along a side that a tile needs before its first output */
    int elements;
    /* A tile of x -> [elements][padded], for products that sum over channels: neighbouring channels share a word. `padded` words
     * are whole vectors, at most TRANSFORM_CHANNELS_MAX numbers, and zero from tile->count on. */
    void (*transform_input)(float *elements, size_t stride, const map_tile *tile, size_t padded);
    /* tiles[per_word] of x -> [elements][padded], for products that sum over tiles: each channel's numbers of these tiles share a
     * word. `padded` words are whole vectors, at most TRANSFORM_CHANNELS_MAX, and zero from tile->count on. */
    void (*transform_input_over_tiles)(float *elements, size_t stride, const map_tile *tiles, size_t padded);
    /* tiles[per_word] of dy -> [elements][padded], laid out as by transform_input_over_tiles. */
    void (*transform_output_grad)(float *elements, size_t stride, const map_tile *tiles, size_t padded);
    /* taps[9][rows][panel], with strides tap_stride and row_stride -> [elements][rows / per_word, rounded up][panel]: neighbouring
     * rows share a word. */
    void (*transform_filter)(float *elements, size_t stride, const float *taps, size_t tap_stride, size_t rows, size_t row_stride);
    /* Summed products [elements][tile->count] -> the tile's part of the output. Reads whole vectors. */
    void (*inverse_transform_output)(const map_tile *tile, const tile_epilogue *output, const float *elements, size_t stride);
    /* Summed products [elements][columns] -> dw[9][columns], with stride tap_stride. Reads whole vectors. `stream` stores past the
     * caches: columns must be a whole panel, dw and tap_stride 64-byte aligned. */
    void (*inverse_transform_filter)(float *dw, size_t tap_stride, const float *elements, size_t stride, size_t columns,
                                     bool stream);
} winograd_transforms;

/* A table of kernels. A and B of its gemm tiles, and so the elements of its transforms, consist of words of four bytes: a float, or
 * a pair of bfloat16 numbers that are neighbours along the summed index. Everything else is fp32, except maps that are said to be
 * bfloat16. */
struct simd_kernels {
    const char *name;
    int per_word; /* numbers in a word: 1 or 2 */
    int width;    /* floats in a vector */
    int rows;     /* most rows of a gemm tile */
    int panel;    /* columns of a gemm tile: two vectors */
    /* Gemm tiles, indexed by their rows, 1..rows. */
    gemm_tile_function by_rows[SIMD_ROWS_MAX + 1];
    gemm_tile_function by_rows_fetching[SIMD_ROWS_MAX + 1];
    gemm_tile_function by_rows_packing[SIMD_ROWS_MAX + 1];
    gemm_tile_function by_columns[SIMD_ROWS_MAX + 1];
    gemm_tile_function by_columns_fetching[SIMD_ROWS_MAX + 1];
    /* Makes this thread's streaming stores visible to other threads before what it stores next. */
    void (*finish_streams)(void);

    /* packed[depth][panel] = source[depth][stride], the first `columns` <= panel of each row and zeros after them. */
    void (*pack)(float *packed, const float *source, size_t stride, size_t depth, size_t columns);
    /* packed[depth][panel] = the transpose of source[columns][stride], `columns` <= panel of each row and zeros after them. */
    void (*pack_transposed)(float *packed, const float *source, size_t stride, size_t depth, size_t columns);
    /* y[i] = x[i], or max(x[i], 0) if relu; NaN stays NaN. */
    void (*copy)(float *y, const float *x, size_t count, bool relu);
    /* y[i] = x[i], or 0 where positive[i] <= 0. */
    void (*copy_where)(float *y, const float *x, const float *positive, size_t count);
    /* y[i] = the largest of window[p][i], p < 4, or of max(window[p][i], 0) if `relu`; pool_argmax[i] (unless NULL) = its p, the first
     * of equals. NaN is larger than all. */
    void (*pool)(float *y, uint8_t *pool_argmax, const float *const window[4], size_t count, bool relu);
    /* window[p][i] = y[i] where pool_argmax[i] is p, else 0. */
    void (*unpool)(float *const window[4], const float *y, const uint8_t *pool_argmax, size_t count);

    /* To bfloat16, rounded to nearest, ties to even, NaN made quiet; and back. */
    void (*round_to_bf16)(uint16_t *to, const float *from, size_t count);
    void (*widen_bf16)(float *to, const uint16_t *from, size_t count);

    winograd_transforms winograd;     /* F(4x4,3x3) */
    winograd_transforms winograd_2x2; /* whole maps of 2x2 pixels */
};

/* The widest table that cpu_detect() allows. */
const simd_kernels *simd_kernels_select(void);

/* The table of bfloat16 pairs; NULL where the processor does not multiply them. */
const simd_kernels *simd_kernels_select_bf16(void);

extern const simd_kernels simd_kernels_avx512;
extern const simd_kernels simd_kernels_avx512_bf16; /* where cpu_detect()->avx512_bf16 */
extern const simd_kernels simd_kernels_avx2;
extern const simd_kernels simd_kernels_portable;

#endif

/* Inner kernels in the widest vectors that the processor has: one table per instruction set, all built from the same
 * templates (simd_*.inc.h), pool_argmax once when planning.
 *
 * The one matrix product here is a register tile: C[rows][panel] = A[rows][depth] B[depth][panel], where B is packed, one
 * row of `panel` floats after the other, 64-byte aligned. Each element of C is one chain of fused multiply-adds in the
 * order of depth, however the rows are cut into tiles, so results depend on neither tiling nor threads.
 */
#ifndef VGG11_KERNELS_KERNELS_H
#define VGG11_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Largest tile of any table. */
enum { SIMD_ROWS_MAX = 14, SIMD_PANEL_MAX = 32 };

/* Most channels that one call transforms. */
enum { TRANSFORM_CHANNELS_MAX = 128 };

/* Where floats lie that will be wanted soon, so that a tile can fetch them into the L2 cache while it computes: step k
 * touches `panel` floats at first + (k & row_mask) * stride + (k >> row_shift) * panel. */
typedef struct {
    const float *first;
    size_t stride;
    size_t row_mask;
    unsigned row_shift;
} gemm_prefetch;

/* Rows that two arrays have at the same places, `count` of them one panel wide: by_columns_fetching touches them all, some in each
 * step, since a crowd of fetches at once would hold up the products. */
typedef struct {
    const float *first[2];
    size_t stride;
    size_t count;
} gemm_prefetch_rows;

typedef struct {
    const float *a; /* element (m, k) at a[m * a_stride + k] (by_rows) or a[m + k * a_stride] (by_columns) */
    size_t a_stride;
    const float *b; /* [depth][panel] */
    float *c;       /* [rows][c_stride] */
    size_t c_stride;
    size_t depth;
    bool accumulate;           /* start from c instead of zero */
    bool stream;               /* store past the caches: c and c_stride must be 64-byte aligned */
    gemm_prefetch next;        /* by_rows_fetching and by_rows_packing fetch it */
    gemm_prefetch_rows beside; /* by_columns_fetching fetches it */
    /* by_rows_packing reads these instead of b, and leaves them packed for the tiles that follow. */
    const float *unpacked; /* row k at k * unpacked_stride */
    size_t unpacked_stride;
    float *packed;
} gemm_tile;

typedef void (*gemm_tile_function)(const gemm_tile *tile);

/* Where a tile's corner lies in a map[side][side][channels]; row and column may be outside, where the map counts as zero.
 * If `pooled`, the map in memory is what 2x2 pooling makes of that one, [side / 2][side / 2][channels]: a source then has its
 * values at the pool_argmax pixels and zeros between them, and of a result the largest of each window is kept. */
typedef struct {
    const void *map;            /* from the first channel in question: floats, or bfloat16 if `bf16` */
    bool bf16;                  /* only for the table of bfloat16 pairs */
    const uint8_t *pool_argmax; /* of a pooled source, laid out like the map: 2 * row + column in the window */
    bool pooled;
    int side;
    int row;
    int column;
    size_t channels;
    size_t count; /* channels in question, from the first on */
} map_tile;

/* What becomes of a tile of results: plus bias, rectified, pooled, and zero where another map is not positive. */
typedef struct {
    void *map;            /* of the tile, writable; the others are laid out like it */
    uint8_t *pool_argmax; /* of a pooled tile, or NULL */
    const void *positive; /* the result is 0 where this is <= 0, a map of the tile's type; NULL: nowhere. Not for pooled tiles */
    const float *bias;    /* [tile->count] or NULL */
    bool relu;
} tile_epilogue;

typedef struct simd_kernels simd_kernels;

/* A bilinear algorithm for a 3x3 convolution: tile x tile outputs from `elements` products instead of 9 tile^2. Transforming
 * makes `elements` values of each channel (or of each pair of channels, for kernels), transforming back makes the results of the
 * summed products. Value p lies p * stride words after value 0. */
typedef struct {
    const simd_kernels *kernels; /* the table that this belongs to, whose products multiply the elements */
    int tile;
    int margin; /* inputs that a tile needs before its first output */
    int elements;
    /* x tile -> elements[elements][padded], for products that sum over channels: `padded` words in whole vectors, at most
     * TRANSFORM_CHANNELS_MAX numbers, zeros from tile->count on. */
    void (*transform_input)(float *elements, size_t stride, const map_tile *tile, size_t padded);
    /* x tiles [per_word] -> elements, likewise, for products that sum over tiles. */
    void (*transform_input_over_tiles)(float *elements, size_t stride, const map_tile *tiles, size_t padded);
    /* dy tiles [per_word] -> elements, likewise. */
    void (*transform_output_grad)(float *elements, size_t stride, const map_tile *tiles, size_t padded);
    /* Nine arrays of rows x panel floats, tap_stride apart, their rows row_stride apart -> as many arrays as there are elements,
     * packed in words that hold per_word rows. */
    void (*transform_filter)(float *elements, size_t stride, const float *taps, size_t tap_stride, size_t rows, size_t row_stride);
    /* elements -> the tile's part of the output. */
    void (*inverse_transform_output)(const map_tile *tile, const tile_epilogue *output, const float *elements, size_t stride);
    /* elements[elements][columns] -> nine rows of dw, tap_stride apart; reads whole vectors of elements. `stream`: past the caches,
     * if columns are a whole panel and dw and tap_stride aligned to 64 bytes. */
    void (*inverse_transform_filter)(float *dw, size_t tap_stride, const float *elements, size_t stride, size_t columns,
                                     bool stream);
} winograd_transforms;

/* What the products multiply and what bilinear forms transform_tiles are words of four bytes: a float, or a pair of bfloat16 numbers that
 * are neighbours along the summed index. C is fp32, and so is all else. */
struct simd_kernels {
    const char *name;
    int per_word; /* numbers */
    int width;    /* floats per vector */
    int rows;     /* most rows of a tile */
    int panel;    /* columns of a tile: two vectors */
    /* Indexed by the tile's rows, 1..rows. */
    gemm_tile_function by_rows[SIMD_ROWS_MAX + 1];
    gemm_tile_function by_rows_fetching[SIMD_ROWS_MAX + 1];
    gemm_tile_function by_rows_packing[SIMD_ROWS_MAX + 1];
    gemm_tile_function by_columns[SIMD_ROWS_MAX + 1];
    gemm_tile_function by_columns_fetching[SIMD_ROWS_MAX + 1];
    /* Makes this thread's streaming stores visible before what it stores next. */
    void (*finish_streams)(void);

    /* packed[depth][panel] = source[depth][stride], the first `columns` <= panel of each row and zeros after them. */
    void (*pack)(float *packed, const float *source, size_t stride, size_t depth, size_t columns);
    /* packed[depth][panel] = transpose of source[columns][stride], likewise. */
    void (*pack_transposed)(float *packed, const float *source, size_t stride, size_t depth, size_t columns);
    /* y[i] = x[i], or max(x[i], 0) if relu; NaN stays NaN. */
    void (*copy)(float *y, const float *x, size_t count, bool relu);
    /* y[i] = x[i], or 0 where positive[i] <= 0. */
    void (*copy_where)(float *y, const float *x, const float *positive, size_t count);
    /* y[i] = largest window[p][i], pool_argmax[i] (unless NULL) = its p, the first of equals. NaN is larger than all. */
    void (*pool)(float *y, uint8_t *pool_argmax, const float *const window[4], size_t count, bool relu);
    /* window[p][i] = y[i] where pool_argmax[i] is p, else 0. */
    void (*unpool)(float *const window[4], const float *y, const uint8_t *pool_argmax, size_t count);

    /* To bfloat16, rounded to nearest, ties to even, NaN made quiet; and back. */
    void (*round_to_bf16)(uint16_t *to, const float *from, size_t count);
    void (*widen_bf16)(float *to, const uint16_t *from, size_t count);

    winograd_transforms winograd;     /* F(4x4,3x3) */
    winograd_transforms winograd_2x2; /* maps of 2x2 pixels, whole */
};

/* The widest table that cpu_detect() allows. */
const simd_kernels *simd_kernels_select(void);

/* That of bfloat16 pairs; NULL where the processor has no products of them. */
const simd_kernels *simd_kernels_select_bf16(void);

extern const simd_kernels simd_kernels_avx512;
extern const simd_kernels simd_kernels_avx512_bf16; /* where cpu_detect()->avx512_bf16 */
extern const simd_kernels simd_kernels_avx2;
extern const simd_kernels simd_kernels_portable;

#endif

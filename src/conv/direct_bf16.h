/* Private to the files of the row direct-bf16: its gemm tiles of VDPBF16PS products, and the packing of their operands.
 *
 * VDPBF16PS adds to each of 16 fp32 sums the two products of a pair of bf16 numbers, so that every operand lies in pairs along
 * the summed index: a "step" is one pair. B comes in panels of PANEL columns, [step][PANEL][2]; A is read a pair at a time
 * and broadcast. A gemm tile of up to TILE_ROWS x PANEL sums stays in 28 of the 32 registers.
 *
 * The table of kernels has a gemm tile of the same products (kernels.h), which winograd-bf16 uses. Here it would not do as well: its sums
 * pass through memory between taps and between lines, it wants rows at equal distances, and bias, ReLU and rounding need a pass of their
 * own. Timed with operands in the cache it takes 0.97 to 1.04 times as long for dense layers and maps of 2x2 pixels, but 1.02 to 1.09
 * times for maps of 4x4, and 1.04 to 1.13 times for the weight gradients of maps (medians of pairs, 32 and 128 images, one and two
 * threads, Intel Xeon).
 */
#ifndef VGG11_CONV_DIRECT_BF16_H
#define VGG11_CONV_DIRECT_BF16_H

#include <stdbool.h>
#include <stddef.h>

#include "vgg11/kernels/bf16.h"
#include "vgg11/conv/conv.h"

enum { TILE_ROWS = 14, PANEL = 32, PANEL_STEP = 2 * PANEL, MAX_TAPS = 9 };

/* The weights that are to be packed next: at each step a tile prefetches one row of PANEL floats into the level-2 cache. */
typedef struct {
    const float *first;
    size_t stride; /* floats from row to row; 0 when there is nothing left to prefetch */
} weight_prefetch;

/* out[i][j] = relu(bias[j] + sum over taps t and steps s of A pair (row i, tap t, step s) . B pair (t, s, j)), j < columns.
 * The rows of A lie anywhere, so that a convolution reads its map in place ("indirect" GEMM: Dukhan, arXiv:1907.02129). */
typedef struct {
    const bf16 *row[TILE_ROWS]; /* where each row of A starts, 4-byte aligned */
    union {
        float *out[TILE_ROWS];
        bf16 *out16[TILE_ROWS];
    };
    bool to_bf16; /* results are rounded and written to out16, not to out */
    bool masked;  /* results are 0 where positive[] <= 0; only if to_bf16 */
    const bf16 *positive[TILE_ROWS];
    int taps;
    ptrdiff_t tap_offset[MAX_TAPS]; /* from row[] to the row of that tap */
    const bf16 *tap_panel[MAX_TAPS];
    int steps;         /* per tap */
    float *partial;    /* rows x PANEL: the sums so far, if the depth is cut into several calls */
    bool first;        /* the first of these calls: sums start from zero, not from `partial` */
    bool last;         /* the last of these calls: results are written, not `partial` */
    const float *bias; /* NULL for none */
    bool relu;
    int columns; /* <= PANEL */
    weight_prefetch prefetch;
} brgemm_tile;

/* c[i][j] = sum over lines l and steps s of A pair (l, s, i) . B pair (l, s, j), j < columns, added to what c holds if
 * `accumulate`. Both operands are packed. */
typedef struct {
    const bf16 *a; /* [line][step][row][2] */
    const bf16 *b; /* [line][step][PANEL][2] */
    size_t a_line; /* elements from line to line of a */
    size_t b_line; /* elements from line to line of b */
    int lines;
    int steps; /* per line */
    float *c;
    size_t c_stride;
    int columns;
    bool accumulate;
    bool stream; /* store past the caches: c is 64-byte aligned, columns == PANEL, and nothing is accumulated */
} gemm_bf16_tile;

/* The products of one tile, indexed by its number of rows, 1..TILE_ROWS. */
extern void (*const brgemm_tile_product[TILE_ROWS + 1])(const brgemm_tile *tile);
extern void (*const gemm_bf16_tile_product[TILE_ROWS + 1])(const gemm_bf16_tile *tile);

/* Makes this thread's streaming stores visible to other threads before what it stores next. */
void bf16_finish_streams(void);

/* out[i] = in[i] rounded, i < count. */
void bf16_pack_flat(bf16 *out, const float *in, size_t count);

/* out[step][j] = (in[2*step][j], in[2*step+1][j]), rounded, for j < PANEL: rows pair up. in is rows x columns (<= PANEL), its rows
 * `stride` apart; the output is zero past either. bf16_pack_row_pairs_bf16() does the same to numbers that are bf16 already. */
void bf16_pack_row_pairs(bf16 *out, const float *in, size_t stride, int rows, int columns);
void bf16_pack_row_pairs_bf16(bf16 *out, const bf16 *in, size_t stride, int rows, int columns);

/* out[step][j] = (in[j][2*step], in[j][2*step+1]), rounded, for j < PANEL: columns pair up. in is rows (<= PANEL) x columns, its
 * rows `stride` apart; the output is zero past either. */
void bf16_pack_column_pairs(bf16 *out, const float *in, size_t stride, int rows, int columns);

/* out[step][j] = (in[2*step][j], in[2*step+1][j]), rounded, for j < width <= 16: out is [step][width][2]. bf16_pack_pairs_bf16()
 * does the same to numbers that are bf16 already. */
void bf16_pack_pairs(bf16 *out, const float *in, size_t stride, int rows, int width);
void bf16_pack_pairs_bf16(bf16 *out, const bf16 *in, size_t stride, int rows, int width);

/* sums[j] = sum over rows of in[i][j], j < columns <= PANEL. */
void float_column_sums(float *sums, const float *in, size_t stride, int rows, int columns);
void bf16_column_sums(float *sums, const bf16 *in, size_t stride, int rows, int columns);

/* Fills the plan of a weight gradient (direct_bf16_weight_grad.c). Always VGG_OK. */
vgg_status direct_bf16_plan_weight_grad(conv_plan *plan);

#endif

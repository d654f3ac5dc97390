/* Private to the files of the row direct-bf16: its tiles of VDPBF16PS products, and the packing that feeds them.
 *
 * VDPBF16PS adds to each of 16 fp32 lanes the two products of a pair of bf16 numbers, so every operand lies in pairs along
 * the summed index: a "step" is one pair. B comes in panels of PANEL columns, [step][PANEL][2]; A is read a pair at a time
 * and broadcast. A tile of up to TILE_ROWS x PANEL sums stays in 28 of the 32 registers.
 */
#ifndef VGG11_CONV_DIRECT_BF16_H
#define VGG11_CONV_DIRECT_BF16_H

#include <stdbool.h>
#include <stddef.h>

#include "vgg11/kernels/bf16.h"
#include "vgg11/conv/conv.h"

enum { TILE_ROWS = 14, PANEL = 32, PANEL_STEP = 2 * PANEL, MAX_TAPS = 9 };

/* Where the weights lie that are to be packed next: a tile fetches one piece, PANEL floats, into the cache at each step. */
typedef struct {
    const float *first;
    size_t stride; /* floats between pieces; 0 when there is nothing left to fetch */
} weight_fetch;

/* out[i][j] = relu(bias[j] + sum over taps t and steps s of A pair (row i, tap t, step s) . B pair (t, s, j)), j < columns.
 * The rows of A lie anywhere: this is a convolution read in place ("indirect" GEMM: Dukhan, arXiv:1907.02129). */
typedef struct {
    const bf16 *row[TILE_ROWS]; /* where each row of A starts, 4-byte aligned */
    union {
        float *out[TILE_ROWS];
        bf16 *out16[TILE_ROWS];
    };
    bool to_bf16; /* out16 */
    bool masked;  /* result 0 where positive[] <= 0; only if to_bf16 */
    const bf16 *positive[TILE_ROWS];
    int taps;
    ptrdiff_t tap_offset[MAX_TAPS]; /* from row[] to the row of that tap */
    const bf16 *tap_panel[MAX_TAPS];
    int steps;         /* per tap */
    float *partial;    /* rows x PANEL: the sums so far, if the depth is cut into several calls */
    bool first;        /* of these calls: start from zero, not from partial */
    bool last;         /* write out, not partial */
    const float *bias; /* NULL for none */
    bool relu;
    int columns; /* <= PANEL */
    weight_fetch fetch;
} brgemm_tile;

/* c[i][j] = [c[i][j] +] sum over lines l and steps s of A pair (l, s, i) . B pair (l, s, j), j < columns, A being packed. */
typedef struct {
    const bf16 *a;
    const bf16 *b;
    size_t a_line; /* elements between lines */
    size_t b_line;
    int lines;
    int steps; /* per line; A's stride is 2 * rows, B's PANEL_STEP */
    float *c;
    size_t c_stride;
    int columns;
    bool accumulate;
    bool stream; /* around the caches: c is 64-byte aligned, columns == PANEL and nothing is accumulated */
} gemm_bf16_tile;

/* By number of rows, 1..TILE_ROWS. */
extern void (*const brgemm_tile_product[TILE_ROWS + 1])(const brgemm_tile *tile);
extern void (*const gemm_bf16_tile_product[TILE_ROWS + 1])(const gemm_bf16_tile *tile);

/* Makes the streamed stores of this thread visible to others. */
void bf16_finish_streams(void);

/* out[i] = bf16(in[i]), i < count. */
void bf16_pack_flat(bf16 *out, const float *in, size_t count);

/* out[step][j] = (in[2*step][j], in[2*step+1][j]) for j < PANEL: rows pair up. in is rows x columns with `stride`; what
 * lies past rows or columns (<= PANEL) is zero. */
void bf16_pack_row_pairs(bf16 *out, const float *in, size_t stride, int rows, int columns);

/* out[step][j] = (in[j][2*step], in[j][2*step+1]) for j < PANEL: columns pair up. in is rows (<= PANEL) x columns with
 * `stride`; what lies past either is zero. */
void bf16_pack_column_pairs(bf16 *out, const float *in, size_t stride, int rows, int columns);

/* out[step][j] = (in[2*step][j], in[2*step+1][j]) for j < width <= 16, packed: step's stride is 2 * width. */
void bf16_pack_pairs(bf16 *out, const float *in, size_t stride, int rows, int width);

/* Both from numbers that are bf16 already. */
void bf16_pair_rows(bf16 *out, const bf16 *in, size_t stride, int rows, int columns);
void bf16_pair_bf16_rows(bf16 *out, const bf16 *in, size_t stride, int rows, int width);

/* sums[j] = sum over rows of in[i][j], j < columns <= PANEL. */
void float_column_sums(float *sums, const float *in, size_t stride, int rows, int columns);
void bf16_column_sums(float *sums, const bf16 *in, size_t stride, int rows, int columns);

/* Fills the plan of a weight gradient, which has a file of its own. VGG_OK. */
vgg_status direct_bf16_plan_weight_grad(conv_plan *plan);

#endif

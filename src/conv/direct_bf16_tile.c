/* The gemm tiles of VDPBF16PS products. Compiled for AVX512_BF16; called only where the CPU has it. */
#include <immintrin.h>

#include "conv/direct_bf16.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL_ROWS _Pragma("GCC unroll 14")

typedef struct {
    __m512 v[TILE_ROWS][2];
} tile_sums;

INLINE __mmask16 low_mask(int columns) { return (__mmask16)(columns >= 16 ? 0xffff : (1u << columns) - 1); }

INLINE __mmask16 high_mask(int columns) { return (__mmask16)(columns <= 16 ? 0 : 0xffffu >> (PANEL - columns)); }

INLINE __m512bh broadcast_pair(const bf16 *pair)
{
    int bits;
    memcpy(&bits, pair, sizeof bits);
    return (__m512bh)_mm512_set1_epi32(bits);
}

INLINE __m512bh load_pairs(const bf16 *pairs) { return (__m512bh)_mm512_loadu_si512(pairs); }

INLINE void clear(tile_sums *sums, const int rows)
{
    UNROLL_ROWS
    for (int i = 0; i < rows; i++) sums->v[i][0] = sums->v[i][1] = _mm512_setzero_ps();
}

INLINE void multiply_tap(tile_sums *sums, const int rows, const brgemm_tile *tile, int tap)
{
    const bf16 *a[TILE_ROWS];
    const bf16 *b = tile->tap_panel[tap];
    const float *next = tile->prefetch.first + (size_t)tap * tile->steps * tile->prefetch.stride;
    UNROLL_ROWS
    for (int i = 0; i < rows; i++) a[i] = tile->row[i] + tile->tap_offset[tap];
    for (ptrdiff_t step = 0; step < tile->steps; step++, b += PANEL_STEP, next += tile->prefetch.stride) {
        __builtin_prefetch(next, 0, 2);
        __builtin_prefetch(next + 16, 0, 2);
        __m512bh b0 = load_pairs(b), b1 = load_pairs(b + PANEL);
        UNROLL_ROWS
        for (int i = 0; i < rows; i++) {
            __m512bh pair = broadcast_pair(a[i] + 2 * step);
            sums->v[i][0] = _mm512_dpbf16_ps(sums->v[i][0], pair, b0);
            sums->v[i][1] = _mm512_dpbf16_ps(sums->v[i][1], pair, b1);
        }
    }
}

/* MAXPS gives its second operand if either is NaN, so a NaN sum stays one. */
INLINE __m512 finish(__m512 sum, __m512 bias, bool relu)
{
    sum = _mm512_add_ps(sum, bias);
    return relu ? _mm512_max_ps(_mm512_setzero_ps(), sum) : sum;
}

INLINE __m512 widen(__m256i halves) { return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16); }

/* A NaN in `positive` lets the value pass, as in all masks of a ReLU's gradient. */
INLINE void store_bf16(const brgemm_tile *tile, int row, int column, __mmask16 mask, __m512 value)
{
    if (tile->masked) {
        __m512 positive = widen(_mm256_maskz_loadu_epi16(mask, tile->positive[row] + column));
        value = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(positive, _mm512_setzero_ps(), _CMP_NLE_UQ), value);
    }
    _mm256_mask_storeu_epi16(tile->out16[row] + column, mask, (__m256i)_mm512_cvtneps_pbh(value));
}

INLINE void write_finished(const tile_sums *sums, const int rows, const brgemm_tile *tile)
{
    __mmask16 low = low_mask(tile->columns), high = high_mask(tile->columns);
    __m512 bias0 = _mm512_setzero_ps(), bias1 = bias0;
    if (tile->bias) {
        bias0 = _mm512_maskz_loadu_ps(low, tile->bias);
        bias1 = _mm512_maskz_loadu_ps(high, tile->bias + 16);
    }
    if (tile->to_bf16) {
        UNROLL_ROWS
        for (int i = 0; i < rows; i++) {
            store_bf16(tile, i, 0, low, finish(sums->v[i][0], bias0, tile->relu));
            store_bf16(tile, i, 16, high, finish(sums->v[i][1], bias1, tile->relu));
        }
        return;
    }
    UNROLL_ROWS
    for (int i = 0; i < rows; i++) {
        _mm512_mask_storeu_ps(tile->out[i], low, finish(sums->v[i][0], bias0, tile->relu));
        _mm512_mask_storeu_ps(tile->out[i] + 16, high, finish(sums->v[i][1], bias1, tile->relu));
    }
}

INLINE void load_partial(tile_sums *sums, const int rows, const brgemm_tile *tile)
{
    UNROLL_ROWS
    for (int i = 0; i < rows; i++) {
        sums->v[i][0] = _mm512_loadu_ps(tile->partial + i * PANEL);
        sums->v[i][1] = _mm512_loadu_ps(tile->partial + i * PANEL + 16);
    }
}

INLINE void store_partial(const tile_sums *sums, const int rows, const brgemm_tile *tile)
{
    UNROLL_ROWS
    for (int i = 0; i < rows; i++) {
        _mm512_storeu_ps(tile->partial + i * PANEL, sums->v[i][0]);
        _mm512_storeu_ps(tile->partial + i * PANEL + 16, sums->v[i][1]);
    }
}

INLINE void brgemm_rows(const int rows, const brgemm_tile *tile)
{
    tile_sums sums;
    if (tile->first)
        clear(&sums, rows);
    else
        load_partial(&sums, rows, tile);
    for (int tap = 0; tap < tile->taps; tap++) multiply_tap(&sums, rows, tile, tap);
    if (tile->last)
        write_finished(&sums, rows, tile);
    else
        store_partial(&sums, rows, tile);
}

INLINE void load_sums(tile_sums *sums, const int rows, const gemm_bf16_tile *tile)
{
    __mmask16 low = low_mask(tile->columns), high = high_mask(tile->columns);
    UNROLL_ROWS
    for (int i = 0; i < rows; i++) {
        sums->v[i][0] = _mm512_maskz_loadu_ps(low, tile->c + i * tile->c_stride);
        sums->v[i][1] = _mm512_maskz_loadu_ps(high, tile->c + i * tile->c_stride + 16);
    }
}

INLINE void multiply_line(tile_sums *sums, const int rows, const gemm_bf16_tile *tile, int line)
{
    const bf16 *a = tile->a + line * tile->a_line;
    const bf16 *b = tile->b + line * tile->b_line;
    for (int step = 0; step < tile->steps; step++, a += 2 * rows, b += PANEL_STEP) {
        __m512bh b0 = load_pairs(b), b1 = load_pairs(b + PANEL);
        UNROLL_ROWS
        for (int i = 0; i < rows; i++) {
            __m512bh pair = broadcast_pair(a + 2 * i);
            sums->v[i][0] = _mm512_dpbf16_ps(sums->v[i][0], pair, b0);
            sums->v[i][1] = _mm512_dpbf16_ps(sums->v[i][1], pair, b1);
        }
    }
}

INLINE void stream_sums(const tile_sums *sums, const int rows, const gemm_bf16_tile *tile)
{
    UNROLL_ROWS
    for (int i = 0; i < rows; i++) {
        _mm512_stream_ps(tile->c + i * tile->c_stride, sums->v[i][0]);
        _mm512_stream_ps(tile->c + i * tile->c_stride + 16, sums->v[i][1]);
    }
}

INLINE void store_sums(const tile_sums *sums, const int rows, const gemm_bf16_tile *tile)
{
    __mmask16 low = low_mask(tile->columns), high = high_mask(tile->columns);
    UNROLL_ROWS
    for (int i = 0; i < rows; i++) {
        _mm512_mask_storeu_ps(tile->c + i * tile->c_stride, low, sums->v[i][0]);
        _mm512_mask_storeu_ps(tile->c + i * tile->c_stride + 16, high, sums->v[i][1]);
    }
}

INLINE void gemm_rows(const int rows, const gemm_bf16_tile *tile)
{
    tile_sums sums;
    if (tile->accumulate)
        load_sums(&sums, rows, tile);
    else
        clear(&sums, rows);
    for (int line = 0; line < tile->lines; line++) multiply_line(&sums, rows, tile, line);
    if (tile->stream)
        stream_sums(&sums, rows, tile);
    else
        store_sums(&sums, rows, tile);
}

void bf16_finish_streams(void) { _mm_sfence(); }

/* X(rows): each number of rows is compiled by itself, so that its sums stay in registers. */
#define ROW_COUNTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

#define DEFINE_TILES(rows)                                                          \
    static void brgemm_##rows(const brgemm_tile *tile) { brgemm_rows(rows, tile); } \
    static void gemm_##rows(const gemm_bf16_tile *tile) { gemm_rows(rows, tile); }
ROW_COUNTS(DEFINE_TILES)

#define BRGEMM_ENTRY(rows) brgemm_##rows,
void (*const brgemm_tile_product[TILE_ROWS + 1])(const brgemm_tile *tile) = {NULL, ROW_COUNTS(BRGEMM_ENTRY)};

#define GEMM_ENTRY(rows) gemm_##rows,
void (*const gemm_bf16_tile_product[TILE_ROWS + 1])(const gemm_bf16_tile *tile) = {NULL, ROW_COUNTS(GEMM_ENTRY)};

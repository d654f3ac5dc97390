/* Rounding to bf16, and packing in pairs. Compiled for AVX512_BF16; called only where the CPU has it. */
#include <immintrin.h>

#include "conv/direct_bf16.h"

static inline __mmask16 mask_of(int count) { return (__mmask16)(count >= 16 ? 0xffff : count <= 0 ? 0 : (1u << count) - 1); }

void bf16_pack_flat(bf16 *out, const float *in, size_t count)
{
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m512bh both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(in + i + 16), _mm512_loadu_ps(in + i));
        _mm512_storeu_si512(out + i, (__m512i)both);
    }
    for (; i < count; i += 16) {
        __mmask16 mask = mask_of(count - i > 16 ? 16 : (int)(count - i));
        __m256bh half = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, in + i));
        _mm256_mask_storeu_epi16(out + i, mask, (__m256i)half);
    }
}

/* (low[0], high[0], low[1], high[1], ...), rounded. */
static inline __m512i interleave(__m512 low, __m512 high)
{
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
                                           19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

/* Pairs (low[j], high[j]) of numbers that are bf16 already. */
static inline __m512i pair_halves(__m256i low, __m256i high)
{
    return _mm512_or_si512(_mm512_cvtepu16_epi32(low), _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
}

/* Pairs (in[low + j], in[high + j]). `fp32`, a constant where this is inlined, says whether `in` is fp32 or bf16. */
static inline __m512i load_pairs(const void *in, size_t low, size_t high, __mmask16 low_mask, __mmask16 high_mask, bool fp32)
{
    if (fp32)
        return interleave(_mm512_maskz_loadu_ps(low_mask, (const float *)in + low),
                          _mm512_maskz_loadu_ps(high_mask, (const float *)in + high));
    return pair_halves(_mm256_maskz_loadu_epi16(low_mask, (const bf16 *)in + low),
                       _mm256_maskz_loadu_epi16(high_mask, (const bf16 *)in + high));
}

static inline void pack_row_pairs(bf16 *out, const void *in, size_t stride, int rows, int columns, bool fp32)
{
    __mmask16 mask[2] = {mask_of(columns), mask_of(columns - 16)};
    for (int i = 0; i < rows; i += 2, out += PANEL_STEP) {
        size_t first = i * stride, next = i + 1 < rows ? first + stride : first;
        for (int half = 0; half < 2; half++) {
            __m512i pairs = load_pairs(in, first + 16 * half, next + 16 * half, mask[half], i + 1 < rows ? mask[half] : 0, fp32);
            _mm512_storeu_si512(out + half * PANEL, pairs);
        }
    }
}

void bf16_pack_row_pairs(bf16 *out, const float *in, size_t stride, int rows, int columns)
{
    pack_row_pairs(out, in, stride, rows, columns, true);
}

void bf16_pack_row_pairs_bf16(bf16 *out, const bf16 *in, size_t stride, int rows, int columns)
{
    pack_row_pairs(out, in, stride, rows, columns, false);
}

static inline void pack_pairs(bf16 *out, const void *in, size_t stride, int rows, int width, bool fp32)
{
    __mmask16 mask = mask_of(width);
    for (int i = 0; i < rows; i += 2, out += 2 * width) {
        size_t first = i * stride, next = i + 1 < rows ? first + stride : first;
        _mm512_mask_storeu_epi32(out, mask, load_pairs(in, first, next, mask, i + 1 < rows ? mask : 0, fp32));
    }
}

void bf16_pack_pairs(bf16 *out, const float *in, size_t stride, int rows, int width)
{
    pack_pairs(out, in, stride, rows, width, true);
}

void bf16_pack_pairs_bf16(bf16 *out, const bf16 *in, size_t stride, int rows, int width)
{
    pack_pairs(out, in, stride, rows, width, false);
}

/* Transposes four rows of pairs within each 128-bit lane; store_transposed() does the rest across lanes. */
static inline void transpose_lanes(__m512i r[4])
{
    __m512i ab_low = _mm512_unpacklo_epi32(r[0], r[1]), ab_high = _mm512_unpackhi_epi32(r[0], r[1]);
    __m512i cd_low = _mm512_unpacklo_epi32(r[2], r[3]), cd_high = _mm512_unpackhi_epi32(r[2], r[3]);
    r[0] = _mm512_unpacklo_epi64(ab_low, cd_low);
    r[1] = _mm512_unpackhi_epi64(ab_low, cd_low);
    r[2] = _mm512_unpacklo_epi64(ab_high, cd_high);
    r[3] = _mm512_unpackhi_epi64(ab_high, cd_high);
}

/* Stores the transpose of r, 16 x 16 pairs, with rows PANEL_STEP apart. */
static inline void store_transposed(bf16 *out, __m512i r[16])
{
    for (int i = 0; i < 16; i += 4) transpose_lanes(r + i);
    for (int i = 0; i < 4; i++) {
        __m512i low_even = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88), low_odd = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
        __m512i high_even = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
        __m512i high_odd = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
        _mm512_storeu_si512(out + (0 + i) * PANEL_STEP, _mm512_shuffle_i32x4(low_even, high_even, 0x88));
        _mm512_storeu_si512(out + (4 + i) * PANEL_STEP, _mm512_shuffle_i32x4(low_odd, high_odd, 0x88));
        _mm512_storeu_si512(out + (8 + i) * PANEL_STEP, _mm512_shuffle_i32x4(low_even, high_even, 0xdd));
        _mm512_storeu_si512(out + (12 + i) * PANEL_STEP, _mm512_shuffle_i32x4(low_odd, high_odd, 0xdd));
    }
}

/* 16 rows of up to 32 columns, rounded: the 16 pairs of a row fill one register. */
static inline void load_block(__m512i r[16], const float *in, size_t stride, int rows, int columns)
{
    __mmask16 low = mask_of(columns), high = mask_of(columns - 16);
    for (int i = 0; i < 16; i++) {
        const float *row = i < rows ? in + i * stride : in;
        __m512 first = _mm512_maskz_loadu_ps(i < rows ? low : 0, row);
        __m512 second = _mm512_maskz_loadu_ps(i < rows ? high : 0, row + 16);
        r[i] = (__m512i)_mm512_cvtne2ps_pbh(second, first);
    }
}

/* The last block may have fewer than 16 steps; the panel has no room for more. */
static inline void pack_short_block(bf16 *out, __m512i r[16], int steps)
{
    bf16 block[16 * PANEL_STEP];
    store_transposed(block, r);
    for (int step = 0; step < steps; step++) memcpy(out + step * PANEL_STEP, block + step * PANEL_STEP, 16 * 2 * sizeof(bf16));
}

void bf16_pack_column_pairs(bf16 *out, const float *in, size_t stride, int rows, int columns)
{
    __m512i r[16];
    for (int column = 0; column < columns; column += 32, out += 16 * PANEL_STEP) {
        for (int half = 0; half < 2; half++) {
            const float *block = rows > 16 * half ? in + 16 * half * stride + column : in;
            load_block(r, block, stride, rows - 16 * half, columns - column);
            int steps = (columns - column + 1) / 2;
            if (steps >= 16)
                store_transposed(out + half * PANEL, r);
            else
                pack_short_block(out + half * PANEL, r, steps);
        }
    }
}

/* Sixteen numbers from element `at` on. */
static inline __m512 load_numbers(const void *in, size_t at, __mmask16 mask, bool fp32)
{
    if (fp32) return _mm512_maskz_loadu_ps(mask, (const float *)in + at);
    __m512i halves = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, (const bf16 *)in + at));
    return (__m512)_mm512_slli_epi32(halves, 16);
}

static inline void column_sums(float *sums, const void *in, size_t stride, int rows, int columns, bool fp32)
{
    __mmask16 low = mask_of(columns), high = mask_of(columns - 16);
    __m512 sum0 = _mm512_setzero_ps(), sum1 = sum0;
    for (int i = 0; i < rows; i++) {
        sum0 = _mm512_add_ps(sum0, load_numbers(in, i * stride, low, fp32));
        sum1 = _mm512_add_ps(sum1, load_numbers(in, i * stride + 16, high, fp32));
    }
    _mm512_mask_storeu_ps(sums, low, sum0);
    _mm512_mask_storeu_ps(sums + 16, high, sum1);
}

void float_column_sums(float *sums, const float *in, size_t stride, int rows, int columns)
{
    column_sums(sums, in, stride, rows, columns, true);
}

void bf16_column_sums(float *sums, const bf16 *in, size_t stride, int rows, int columns)
{
    column_sums(sums, in, stride, rows, columns, false);
}

/* The vector operations around the matrix tiles, on 16 floats or 32 bf16 numbers: AVX-512's, or loops in plain C where AMX_EMULATED
 * is defined. Both give the same bits. Loads and stores touch `count` numbers of memory; what is loaded past them is zero.
 */
#ifndef VGG11_KERNELS_AMX_VECTORS_H
#define VGG11_KERNELS_AMX_VECTORS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "vgg11/kernels/bf16.h"

#define AMX_INLINE static inline __attribute__((always_inline))

enum { VECTOR_FLOATS = 16, VECTOR_HALVES = 32 };

#ifndef AMX_EMULATED
#include <immintrin.h>

typedef __m512 vector_floats;
typedef __m512i vector_halves;

AMX_INLINE __mmask16 float_mask(int count) { return (__mmask16)(count >= 16 ? 0xffff : count <= 0 ? 0 : (1u << count) - 1); }

AMX_INLINE __mmask32 half_mask(int count) { return count >= 32 ? 0xffffffffu : count <= 0 ? 0 : (1u << count) - 1; }

AMX_INLINE vector_floats floats_zero(void) { return _mm512_setzero_ps(); }

AMX_INLINE vector_floats floats_load(const float *from, int count)
{
    return count >= 16 ? _mm512_loadu_ps(from) : _mm512_maskz_loadu_ps(float_mask(count), from);
}

AMX_INLINE void floats_store(float *to, vector_floats v, int count)
{
    if (count >= 16)
        _mm512_storeu_ps(to, v);
    else
        _mm512_mask_storeu_ps(to, float_mask(count), v);
}

/* Stores past the caches; `to` must be aligned to a cache line. */
AMX_INLINE void floats_stream(float *to, vector_floats v) { _mm512_stream_ps(to, v); }

AMX_INLINE void finish_streams(void) { _mm_sfence(); }

AMX_INLINE vector_floats floats_add(vector_floats a, vector_floats b) { return _mm512_add_ps(a, b); }

/* MAXPS gives its second operand if either is NaN, so that NaN stays NaN. */
AMX_INLINE vector_floats floats_rectify(vector_floats v) { return _mm512_max_ps(_mm512_setzero_ps(), v); }

/* v, or 0 where `positive` <= 0; a NaN there lets v pass. */
AMX_INLINE vector_floats floats_where(vector_floats v, vector_floats positive)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(positive, _mm512_setzero_ps(), _CMP_NLE_UQ), v);
}

/* The largest of the four of a window, and into pool_argmax, unless NULL, its place, the first of equals. NaN is larger than
 * all. */
AMX_INLINE vector_floats floats_largest(const vector_floats v[4], uint8_t *pool_argmax, int count)
{
    vector_floats best = v[0];
    __m512i place = _mm512_setzero_si512();
    for (int p = 1; p < 4; p++) {
        __mmask16 wins = _mm512_cmp_ps_mask(v[p], best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(v[p], v[p], _CMP_UNORD_Q);
        best = _mm512_mask_mov_ps(best, wins, v[p]);
        place = _mm512_mask_mov_epi32(place, wins, _mm512_set1_epi32(p));
    }
    if (pool_argmax) _mm512_mask_cvtepi32_storeu_epi8(pool_argmax, float_mask(count), place);
    return best;
}

AMX_INLINE vector_halves halves_zero(void) { return _mm512_setzero_si512(); }

AMX_INLINE vector_halves halves_load(const bf16 *from, int count)
{
    return count >= 32 ? _mm512_loadu_si512(from) : _mm512_maskz_loadu_epi16(half_mask(count), from);
}

AMX_INLINE void halves_store(bf16 *to, vector_halves v, int count)
{
    if (count >= 32)
        _mm512_storeu_si512(to, v);
    else
        _mm512_mask_storeu_epi16(to, half_mask(count), v);
}

/* Rounds to nearest, ties to even; denormals become zero. */
AMX_INLINE vector_halves halves_round(vector_floats low, vector_floats high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

AMX_INLINE vector_floats halves_widen(vector_halves v, int half)
{
    __m256i part = half ? _mm512_extracti64x4_epi64(v, 1) : _mm512_castsi512_si256(v);
    return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(part), 16);
}

/* (a[0], b[0], a[1], b[1], ...) of the lower (half 0) or upper 16 numbers of each. */
AMX_INLINE vector_halves halves_interleave(vector_halves a, vector_halves b, int half)
{
    const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4,
                                         35, 3, 34, 2, 33, 1, 32, 0);
    return _mm512_permutex2var_epi16(a, half ? _mm512_add_epi16(low, _mm512_set1_epi16(16)) : low, b);
}

/* v where pool_argmax is `place`, else 0. */
AMX_INLINE vector_halves halves_chosen(vector_halves v, const uint8_t *pool_argmax, int place, int count)
{
    __m256i places = count >= 32 ? _mm256_loadu_si256((const __m256i *)(const void *)pool_argmax)
                                 : _mm256_maskz_loadu_epi8(half_mask(count), pool_argmax);
    return _mm512_maskz_mov_epi16(_mm256_cmpeq_epi8_mask(places, _mm256_set1_epi8((char)place)), v);
}

AMX_INLINE void transpose_lanes(__m512i r[4])
{
    __m512i ab_low = _mm512_unpacklo_epi32(r[0], r[1]), ab_high = _mm512_unpackhi_epi32(r[0], r[1]);
    __m512i cd_low = _mm512_unpacklo_epi32(r[2], r[3]), cd_high = _mm512_unpackhi_epi32(r[2], r[3]);
    r[0] = _mm512_unpacklo_epi64(ab_low, cd_low);
    r[1] = _mm512_unpackhi_epi64(ab_low, cd_low);
    r[2] = _mm512_unpacklo_epi64(ab_high, cd_high);
    r[3] = _mm512_unpackhi_epi64(ab_high, cd_high);
}

/* Transposes a matrix of 16 x 16 pairs. */
AMX_INLINE void pairs_transpose(vector_halves r[16])
{
    __m512i t[16];
    for (int i = 0; i < 16; i += 4) transpose_lanes(r + i);
    for (int i = 0; i < 4; i++) {
        __m512i low_even = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88), low_odd = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
        __m512i high_even = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
        __m512i high_odd = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
        t[i] = _mm512_shuffle_i32x4(low_even, high_even, 0x88);
        t[4 + i] = _mm512_shuffle_i32x4(low_odd, high_odd, 0x88);
        t[8 + i] = _mm512_shuffle_i32x4(low_even, high_even, 0xdd);
        t[12 + i] = _mm512_shuffle_i32x4(low_odd, high_odd, 0xdd);
    }
    for (int i = 0; i < 16; i++) r[i] = t[i];
}

AMX_INLINE void prefetch_line(const void *address) { _mm_prefetch((const char *)address, _MM_HINT_T1); }

#else

typedef struct {
    float at[VECTOR_FLOATS];
} vector_floats;
typedef struct {
    bf16 at[VECTOR_HALVES];
} vector_halves;

AMX_INLINE int at_most(int count, int most) { return count < 0 ? 0 : count < most ? count : most; }

AMX_INLINE vector_floats floats_zero(void) { return (vector_floats){{0}}; }

AMX_INLINE vector_floats floats_load(const float *from, int count)
{
    vector_floats v = {{0}};
    memcpy(v.at, from, (size_t)at_most(count, VECTOR_FLOATS) * sizeof *from);
    return v;
}

AMX_INLINE void floats_store(float *to, vector_floats v, int count)
{
    memcpy(to, v.at, (size_t)at_most(count, VECTOR_FLOATS) * sizeof *to);
}

AMX_INLINE void floats_stream(float *to, vector_floats v) { floats_store(to, v, VECTOR_FLOATS); }

AMX_INLINE void finish_streams(void) {}

AMX_INLINE vector_floats floats_add(vector_floats a, vector_floats b)
{
    for (int i = 0; i < VECTOR_FLOATS; i++) a.at[i] += b.at[i];
    return a;
}

AMX_INLINE vector_floats floats_rectify(vector_floats v)
{
    for (int i = 0; i < VECTOR_FLOATS; i++) v.at[i] = v.at[i] < 0 ? 0 : v.at[i];
    return v;
}

AMX_INLINE vector_floats floats_where(vector_floats v, vector_floats positive)
{
    for (int i = 0; i < VECTOR_FLOATS; i++) v.at[i] = positive.at[i] <= 0 ? 0 : v.at[i];
    return v;
}

AMX_INLINE vector_floats floats_largest(const vector_floats v[4], uint8_t *pool_argmax, int count)
{
    vector_floats best = v[0];
    for (int i = 0; i < VECTOR_FLOATS; i++) {
        uint8_t place = 0;
        for (int p = 1; p < 4; p++) {
            float value = v[p].at[i];
            if (!(value > best.at[i]) && value == value) continue;
            best.at[i] = value;
            place = (uint8_t)p;
        }
        if (pool_argmax && i < count) pool_argmax[i] = place;
    }
    return best;
}

AMX_INLINE vector_halves halves_zero(void) { return (vector_halves){{0}}; }

AMX_INLINE vector_halves halves_load(const bf16 *from, int count)
{
    vector_halves v = {{0}};
    memcpy(v.at, from, (size_t)at_most(count, VECTOR_HALVES) * sizeof *from);
    return v;
}

AMX_INLINE void halves_store(bf16 *to, vector_halves v, int count)
{
    memcpy(to, v.at, (size_t)at_most(count, VECTOR_HALVES) * sizeof *to);
}

/* Like bf16_round(), but denormals become zero. */
AMX_INLINE bf16 round_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & 0x7f800000u) == 0 ? (bf16)(bits >> 16 & 0x8000u) : bf16_round(value);
}

AMX_INLINE vector_halves halves_round(vector_floats low, vector_floats high)
{
    vector_halves v;
    for (int i = 0; i < VECTOR_FLOATS; i++) {
        v.at[i] = round_half(low.at[i]);
        v.at[VECTOR_FLOATS + i] = round_half(high.at[i]);
    }
    return v;
}

AMX_INLINE vector_floats halves_widen(vector_halves v, int half)
{
    vector_floats floats;
    for (int i = 0; i < VECTOR_FLOATS; i++) floats.at[i] = bf16_widen(v.at[half * VECTOR_FLOATS + i]);
    return floats;
}

AMX_INLINE vector_halves halves_interleave(vector_halves a, vector_halves b, int half)
{
    vector_halves v;
    for (int i = 0; i < VECTOR_HALVES; i++) v.at[i] = (i % 2 ? b : a).at[half * VECTOR_FLOATS + i / 2];
    return v;
}

AMX_INLINE vector_halves halves_chosen(vector_halves v, const uint8_t *pool_argmax, int place, int count)
{
    for (int i = 0; i < VECTOR_HALVES; i++) v.at[i] = (bf16)(i < count && pool_argmax[i] == place ? v.at[i] : 0);
    return v;
}

AMX_INLINE void pairs_transpose(vector_halves r[16])
{
    vector_halves t[16];
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < 16; j++) memcpy(t[j].at + 2 * i, r[i].at + 2 * j, 2 * sizeof *t[j].at);
    }
    memcpy(r, t, sizeof t);
}

AMX_INLINE void prefetch_line(const void *address) { (void)address; }

#endif

#endif

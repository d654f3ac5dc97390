#include "bench/peak_flops.h"

#include <stddef.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Each kernel has this many independent sums: more than latency times throughput of any processor that it runs on (4 cycles times 2
 * per cycle for FMA), and so few that they stay in registers. */
enum { SUMS = 12, TILE_SUMS = 4, PORTABLE_LANES = 64 };

/* x <- x * FACTOR + TERM stays near 1, so that no number is denormal or infinite, which takes longer on some processors. */
static const float FACTOR = 0.999f, TERM = 0.001f;

static bool always(const cpu_features *features)
{
    (void)features;
    return true;
}

static float run_portable(uint64_t rounds)
{
    float sum[PORTABLE_LANES], factor = FACTOR, term = TERM, total = 0;
    for (int i = 0; i < PORTABLE_LANES; i++) sum[i] = 1.0f + (float)i / PORTABLE_LANES;
    for (uint64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < PORTABLE_LANES; i++) sum[i] = sum[i] * factor + term;
    }
    for (int i = 0; i < PORTABLE_LANES; i++) total += sum[i];
    return total;
}

#if defined(__x86_64__)
static bool has_avx2(const cpu_features *features) { return features->avx2; }
static bool has_avx512(const cpu_features *features) { return features->avx512; }
static bool has_avx512_bf16(const cpu_features *features) { return features->avx512_bf16; }
static bool has_amx_bf16(const cpu_features *features) { return features->amx_bf16; }

__attribute__((target("avx2,fma"))) static float run_avx2(uint64_t rounds)
{
    __m256 factor = _mm256_set1_ps(FACTOR), term = _mm256_set1_ps(TERM), sum[SUMS];
    for (int i = 0; i < SUMS; i++) sum[i] = _mm256_set1_ps((float)(i + 1));
    for (uint64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 12
        for (int i = 0; i < SUMS; i++) sum[i] = _mm256_fmadd_ps(sum[i], factor, term);
    }
    for (int i = 1; i < SUMS; i++) sum[0] = _mm256_add_ps(sum[0], sum[i]);
    return _mm256_cvtss_f32(sum[0]);
}

__attribute__((target("avx512f"))) static float run_avx512(uint64_t rounds)
{
    __m512 factor = _mm512_set1_ps(FACTOR), term = _mm512_set1_ps(TERM), sum[SUMS];
    for (int i = 0; i < SUMS; i++) sum[i] = _mm512_set1_ps((float)(i + 1));
    for (uint64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 12
        for (int i = 0; i < SUMS; i++) sum[i] = _mm512_fmadd_ps(sum[i], factor, term);
    }
    for (int i = 1; i < SUMS; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
    return _mm512_cvtss_f32(sum[0]);
}

/* VDPBF16PS adds two products to each sum. Here they cancel, so that the sums stay as they are. */
__attribute__((target("avx512f,avx512bf16"))) static float run_avx512_bf16(uint64_t rounds)
{
    enum { ONE = 0x3f80, MINUS_ONE = 0xbf80 };
    __m512bh factor = (__m512bh)_mm512_set1_epi32(ONE << 16 | ONE);
    __m512bh signs = (__m512bh)_mm512_set1_epi32((int)((unsigned)MINUS_ONE << 16 | ONE));
    __m512 sum[SUMS];
    for (int i = 0; i < SUMS; i++) sum[i] = _mm512_set1_ps((float)(i + 1));
    for (uint64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 12
        for (int i = 0; i < SUMS; i++) sum[i] = _mm512_dpbf16_ps(sum[i], factor, signs);
    }
    for (int i = 1; i < SUMS; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
    return _mm512_cvtss_f32(sum[0]);
}

enum { TILES = 8, TILE_ROWS = 16, TILE_ROW_BYTES = 64, TILE_DEPTH = 32 };

/* The operand of LDTILECFG (Intel SDM vol. 1, 18.2). */
typedef struct {
    uint8_t palette;
    uint8_t start_row;
    uint8_t reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shape;

/* Tile registers 0..3 hold sums, 4 and 5 rows of one factor, 6 and 7 columns of the other, as for a block of 2x2 tiles of a matrix
 * product. The factors are zero, for which the instruction takes the same time. */
__attribute__((target("amx-tile,amx-bf16"))) static float run_amx_bf16(uint64_t rounds)
{
    tile_shape shape = {.palette = 1};
    float result[TILE_ROWS][TILE_ROW_BYTES / sizeof(float)];
    for (int tile = 0; tile < TILES; tile++) {
        shape.row_bytes[tile] = TILE_ROW_BYTES;
        shape.rows[tile] = TILE_ROWS;
    }
    _tile_loadconfig(&shape);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (uint64_t round = 0; round < rounds; round++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, result, TILE_ROW_BYTES);
    _tile_release();
    return result[0][0] + 1.0f;
}
#endif

const peak_flops_kernel peak_flops_kernels[] = {
#if defined(__x86_64__)
    {"AMX tiles", PRECISION_BF16, 2.0 * TILE_SUMS *TILE_ROWS *TILE_ROWS *TILE_DEPTH, has_amx_bf16, run_amx_bf16},
    {"VDPBF16PS", PRECISION_BF16, 4.0 * SUMS * 16, has_avx512_bf16, run_avx512_bf16},
    {"AVX-512 FMA", PRECISION_FP32, 2.0 * SUMS * 16, has_avx512, run_avx512},
    {"AVX2 FMA", PRECISION_FP32, 2.0 * SUMS * 8, has_avx2, run_avx2},
#endif
    {"plain C", PRECISION_FP32, 2.0 * PORTABLE_LANES, always, run_portable},
    {0},
};

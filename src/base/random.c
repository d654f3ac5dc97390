#include "vgg11/base/random.h"

#include <math.h>
#include <string.h>

/* Constants of Philox4x32 (Salmon et al., section 4.3) and Weyl increments of its key. */
#define PHILOX_M0 UINT32_C(0xD2511F53)
#define PHILOX_M1 UINT32_C(0xCD9E8D57)
#define PHILOX_W0 UINT32_C(0x9E3779B9)
#define PHILOX_W1 UINT32_C(0xBB67AE85)

/* Blocks that are computed side by side. Many enough that the compiler keeps the loops over lanes, and so makes vector code
 * of them: with 16 it unrolls them first and finds less (0.23 s instead of 0.1 s for 32 million normals). */
enum { PHILOX_ROUNDS = 10, LANES = 32 };

typedef struct {
    uint32_t word[4][LANES];
} philox_lanes;

static inline void philox_round(philox_lanes *state, int lanes, uint32_t key0, uint32_t key1)
{
    for (int i = 0; i < lanes; i++) {
        uint64_t product0 = (uint64_t)PHILOX_M0 * state->word[0][i];
        uint64_t product1 = (uint64_t)PHILOX_M1 * state->word[2][i];
        state->word[0][i] = (uint32_t)(product1 >> 32) ^ state->word[1][i] ^ key0;
        state->word[2][i] = (uint32_t)(product0 >> 32) ^ state->word[3][i] ^ key1;
        state->word[1][i] = (uint32_t)product1;
        state->word[3][i] = (uint32_t)product0;
    }
}

/* Lane i < lanes holds block first + i. */
static inline void philox_blocks(uint64_t seed, uint64_t stream, uint64_t first, int lanes, philox_lanes *state)
{
    for (int i = 0; i < lanes; i++) {
        state->word[0][i] = (uint32_t)(first + (uint64_t)i);
        state->word[1][i] = (uint32_t)((first + (uint64_t)i) >> 32);
        state->word[2][i] = (uint32_t)stream;
        state->word[3][i] = (uint32_t)(stream >> 32);
    }
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        philox_round(state, lanes, key0, key1);
        key0 += PHILOX_W0;
        key1 += PHILOX_W1;
    }
}

void random_block(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4])
{
    philox_lanes state;
    philox_blocks(seed, stream, index, 1, &state);
    for (int k = 0; k < 4; k++) out[k] = state.word[k][0];
}

static inline float unit_interval(uint32_t word) { return (float)(int32_t)(word >> 8) * 0x1p-24f; }

/* Value i is word i % 4 of block i / 4. */
float random_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t block[4];
    random_block(seed, stream, index / 4, block);
    return unit_interval(block[index % 4]);
}

static void to_uniform(const philox_lanes *state, float limit, float values[LANES][4])
{
    for (int i = 0; i < LANES; i++)
        for (int k = 0; k < 4; k++) values[i][k] = limit * (2.0f * unit_interval(state->word[k][i]) - 1.0f);
}

/* The mathematical library's logf and sincosf differ in the last bit between its versions and processors, and ranks on
 * unlike nodes must draw the same weights. These polynomials use only operations that IEEE 754 rounds exactly (this file is
 * compiled without contraction), and vectorise. Their error, about 2e-7, is far below what a histogram could show. */

/* Natural logarithm of x = (top 23 bits of word + 0.5) / 2^23, from its binary exponent and a series in (m - 1) / (m + 1). */
static inline float log_of_word(uint32_t word)
{
    float x = ((float)(int32_t)(word >> 9) + 0.5f) * 0x1p-23f, m;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    /* m in [sqrt(1/2), sqrt(2)): 0x3f3504f3 is sqrt(1/2). */
    int32_t exponent = (int32_t)(bits - UINT32_C(0x3f3504f3)) >> 23;
    bits -= (uint32_t)exponent << 23;
    memcpy(&m, &bits, sizeof m);
    float s = (m - 1.0f) / (m + 1.0f), s2 = s * s;
    float series = 2.0f + s2 * (0.66666667f + s2 * (0.4f + s2 * (0.28571429f + s2 * 0.22222222f)));
    return (float)exponent * 0.69314718f + s * series;
}

/* sin and cos of 2 pi u, u = word / 2^32: the top two bits choose the quadrant, the rest is an angle in [-pi/4, pi/4). */
static inline void sincos_of_word(uint32_t word, float *sine, float *cosine)
{
    uint32_t shifted = word + UINT32_C(0x20000000);
    int32_t quadrant = (int32_t)(shifted >> 30);
    float angle = (float)((int32_t)(shifted << 2 >> 9) - (1 << 22)) * (1.5707963268f * 0x1p-23f);
    float a2 = angle * angle;
    float s = angle * (1.0f + a2 * (-0.16666667f + a2 * (8.3333333e-3f + a2 * (-1.9841270e-4f + a2 * 2.7557319e-6f))));
    float c = 1.0f + a2 * (-0.5f + a2 * (4.1666667e-2f + a2 * (-1.3888889e-3f + a2 * 2.4801587e-5f)));
    int swap = quadrant & 1;
    *sine = (swap ? c : s) * (float)(1 - (quadrant & 2));
    *cosine = (swap ? s : c) * (float)(1 - ((quadrant + 1) & 2));
}

/* Box and Muller (1958): two uniforms give two independent normals. */
static void to_normal(const philox_lanes *state, float deviation, float values[LANES][4])
{
    float normal[4][LANES];
    for (int pair = 0; pair < 4; pair += 2)
        for (int i = 0; i < LANES; i++) {
            float radius = deviation * sqrtf(-2.0f * log_of_word(state->word[pair][i]));
            float sine, cosine;
            sincos_of_word(state->word[pair + 1][i], &sine, &cosine);
            normal[pair][i] = radius * cosine;
            normal[pair + 1][i] = radius * sine;
        }
    for (int i = 0; i < LANES; i++)
        for (int k = 0; k < 4; k++) values[i][k] = normal[k][i];
}

/* Turns the 4 words of each lane into 4 values, words of a block next to one another. */
typedef void (*lane_transform)(const philox_lanes *state, float scale, float values[LANES][4]);

static void fill_values(uint64_t seed, uint64_t stream, lane_transform transform, float scale, float *values, size_t count)
{
    for (size_t done = 0; done < count; done += 4 * LANES) {
        philox_lanes state;
        float chunk[LANES][4];
        philox_blocks(seed, stream, done / 4, LANES, &state);
        transform(&state, scale, chunk);
        size_t left = count - done < 4 * LANES ? count - done : 4 * LANES;
        memcpy(values + done, chunk, left * sizeof(float));
    }
}

void random_fill_uniform(uint64_t seed, uint64_t stream, float limit, float *values, size_t count)
{
    fill_values(seed, stream, to_uniform, limit, values, count);
}

void random_fill_normal(uint64_t seed, uint64_t stream, float deviation, float *values, size_t count)
{
    fill_values(seed, stream, to_normal, deviation, values, count);
}

/* Words of a stream one after another. */
typedef struct {
    uint64_t seed, stream, next;
    philox_lanes state;
} word_source;

static uint32_t next_word(word_source *source)
{
    uint64_t position = source->next++ % (4 * LANES);
    if (position == 0) philox_blocks(source->seed, source->stream, (source->next - 1) / 4, LANES, &source->state);
    return source->state.word[position % 4][position / 4];
}

/* Uniform in 0..bound-1 by multiplication, redrawing the few words that would favour some values (Lemire,
 * arXiv:1805.10941). */
static uint32_t next_below(word_source *source, uint32_t bound)
{
    uint64_t product = (uint64_t)next_word(source) * bound;
    if ((uint32_t)product < bound) {
        uint32_t threshold = (0u - bound) % bound;
        while ((uint32_t)product < threshold) product = (uint64_t)next_word(source) * bound;
    }
    return (uint32_t)(product >> 32);
}

void random_permutation(uint64_t seed, uint64_t stream, uint32_t *order, uint32_t count)
{
    word_source source = {.seed = seed, .stream = stream};
    for (uint32_t i = 0; i < count; i++) order[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = next_below(&source, i);
        uint32_t held = order[i - 1];
        order[i - 1] = order[other];
        order[other] = held;
    }
}

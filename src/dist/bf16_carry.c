#include "dist/bf16_carry.h"

#include <math.h>
#include <string.h>

float bf16_to_float(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

uint16_t bf16_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    /* Rounding up could carry a NaN's payload into infinity; its quiet bit says NaN by itself. */
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16) | 0x40 : rounded);
}

static inline uint16_t round_and_carry(float value, float *error)
{
    float wanted = value + *error;
    uint16_t rounded = bf16_from_float(wanted);
    float lost = wanted - bf16_to_float(rounded);
    *error = isfinite(lost) ? lost : 0.0f;
    return rounded;
}

void round_carrying(const float *data, float *error, uint16_t *out, size_t count, int threads)
{
    #pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < count; i++) out[i] = round_and_carry(data[i], error + i);
}

void round_sums_carrying(const uint16_t *in, int ranks, float *error, uint16_t *out, size_t count, int threads)
{
    #pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < count; i++) {
        float sum = bf16_to_float(in[i]);
        for (int rank = 1; rank < ranks; rank++) sum += bf16_to_float(in[(size_t)rank * count + i]);
        out[i] = round_and_carry(sum, error + i);
    }
}

void widen(const uint16_t *in, float *data, size_t count, int threads)
{
    #pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < count; i++) data[i] = bf16_to_float(in[i]);
}

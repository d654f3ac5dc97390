#include "exchange/error_feedback.h"

#include <math.h>

#include "vgg11/base/bf16.h"

static inline uint16_t round_and_carry(float value, float *error)
{
    float wanted = value + *error;
    uint16_t rounded = bf16_round(wanted);
    float lost = wanted - bf16_widen(rounded);
    *error = isfinite(lost) ? lost : 0.0f;
    return rounded;
}

void error_feedback_round(const float *data, float *error, uint16_t *out, size_t count, int threads)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < count; i++) out[i] = round_and_carry(data[i], error + i);
}

void error_feedback_round_sums(const uint16_t *in, int ranks, float *error, uint16_t *out, size_t count, int threads)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < count; i++) {
        float sum = bf16_widen(in[i]);
        for (int rank = 1; rank < ranks; rank++) sum += bf16_widen(in[(size_t)rank * count + i]);
        out[i] = round_and_carry(sum, error + i);
    }
}

void error_feedback_widen(const uint16_t *in, float *data, size_t count, int threads)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < count; i++) data[i] = bf16_widen(in[i]);
}

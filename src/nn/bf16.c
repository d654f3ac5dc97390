#include "nn/bf16.h"

void bf16_round_array(bf16 *out, const float *in, size_t count, int threads)
{
#pragma omp parallel for simd num_threads(threads) schedule(static)
    for (size_t i = 0; i < count; i++) out[i] = bf16_round(in[i]);
}

void bf16_round_floats(float *out, const float *in, size_t count, int threads)
{
#pragma omp parallel for simd num_threads(threads) schedule(static)
    for (size_t i = 0; i < count; i++) out[i] = bf16_widen(bf16_round(in[i]));
}

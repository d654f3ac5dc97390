/* The sum of squares of a block. A square of a float is exact in double precision, so that a fused multiply-add rounds like a
 * product and a sum, and the lanes fix the order: the result has the same bits at every vector width. */
#include "exchange/blocks.h"

#include "vgg11/base/cpu.h"

/* Four vectors of AVX-512's eight doubles, enough to hide the latency of an addition. */
enum { LANES = 32 };

static inline __attribute__((always_inline)) double sum_in_lanes(const float *values, size_t count)
{
    double lanes[LANES] = {0};
    size_t whole = count / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++) lanes[lane] += (double)values[i + lane] * (double)values[i + lane];
    for (size_t i = whole; i < count; i++) lanes[i - whole] += (double)values[i] * (double)values[i];
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t lane = 0; lane < half; lane++) lanes[lane] += lanes[lane + half];
    return lanes[0];
}

#ifdef __x86_64__
__attribute__((target("avx512f,prefer-vector-width=512"))) static double sum_avx512(const float *values, size_t count)
{
    return sum_in_lanes(values, count);
}

__attribute__((target("avx2"))) static double sum_avx2(const float *values, size_t count) { return sum_in_lanes(values, count); }
#endif

double square_sum(const float *values, size_t count)
{
#ifdef __x86_64__
    const cpu_features *cpu = cpu_detect();
    if (cpu->avx512) return sum_avx512(values, count);
    if (cpu->avx2) return sum_avx2(values, count);
#endif
    return sum_in_lanes(values, count);
}

/* Arithmetic of a bfloat16 wire: rounding that carries what it took away on to the next time. */
#ifndef VGG11_DIST_BF16_CARRY_H
#define VGG11_DIST_BF16_CARRY_H

#include <stddef.h>
#include <stdint.h>

/* Nearest, ties to even; NaN stays NaN. */
uint16_t bf16_from_float(float value);
float bf16_to_float(uint16_t bits);

/* out[count]: data[count] plus error[count], rounded; error becomes what that took away. What overflows or is no number carries
 * nothing: it would never come back to a number. */
void round_carrying(const float *data, float *error, uint16_t *out, size_t count, int threads);

/* The same of the sums over in[ranks][count], added in rank order. */
void round_sums_carrying(const uint16_t *in, int ranks, float *error, uint16_t *out, size_t count, int threads);

void widen(const uint16_t *in, float *data, size_t count, int threads);

#endif

/* Arithmetic of a bfloat16 wire: rounding that carries what it took away on to the next time. */
#ifndef VGG11_EXCHANGE_ERROR_FEEDBACK_H
#define VGG11_EXCHANGE_ERROR_FEEDBACK_H

#include <stddef.h>
#include <stdint.h>

/* out[count]: data[count] plus error[count], rounded; error becomes what that took away. What overflows or is no number carries
 * nothing: it would never come back to a number. */
void error_feedback_round(const float *data, float *error, uint16_t *out, size_t count, int threads);

/* The same of the sums over in[ranks][count], added in rank order. */
void error_feedback_round_sums(const uint16_t *in, int ranks, float *error, uint16_t *out, size_t count, int threads);

void error_feedback_widen(const uint16_t *in, float *data, size_t count, int threads);

#endif

/* Arithmetic of a bfloat16 wire: rounding with error feedback, which adds the rounding error to the next step's numbers. */
#ifndef VGG11_EXCHANGE_ERROR_FEEDBACK_H
#define VGG11_EXCHANGE_ERROR_FEEDBACK_H

#include <stddef.h>
#include <stdint.h>

/* out[i] = data[i] + error[i], rounded; error[i] becomes what the rounding took away, or 0 where that is not finite, since it would
 * stay so. */
void error_feedback_round(const float *data, float *error, uint16_t *out, size_t count, int threads);

/* Rounds the sums over ranks of in[ranks][count], added in rank order, in the same way. */
void error_feedback_round_sums(const uint16_t *in, int ranks, float *error, uint16_t *out, size_t count, int threads);

/* data[i] = in[i] as a float, i < count. */
void error_feedback_widen(const uint16_t *in, float *data, size_t count, int threads);

#endif

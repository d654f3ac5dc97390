/* Arrays of bfloat16. */
#ifndef VGG11_KERNELS_BF16_H
#define VGG11_KERNELS_BF16_H

#include <stddef.h>

#include "vgg11/base/bf16.h"

/* out[i] = in[i] rounded to bfloat16, i < count. Runs on `threads` OpenMP threads. */
void bf16_round_array(bf16 *out, const float *in, size_t count, int threads);

/* out[i] = in[i] as a float, i < count. Runs on `threads` OpenMP threads. */
void bf16_widen_array(float *out, const bf16 *in, size_t count, int threads);

/* out[i] = in[i] rounded to bfloat16, as a float, i < count; out may be in. Runs on `threads` OpenMP threads. */
void bf16_round_floats(float *out, const float *in, size_t count, int threads);

#endif

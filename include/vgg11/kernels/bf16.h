/* Arrays of bfloat16. */
#ifndef VGG11_KERNELS_BF16_H
#define VGG11_KERNELS_BF16_H

#include <stddef.h>

#include "vgg11/base/bf16.h"

/* out[i] = bf16(in[i]), i < count, shared out among `threads` OpenMP threads. */
void bf16_round_array(bf16 *out, const float *in, size_t count, int threads);

/* out[i] = float(in[i]). As above. */
void bf16_widen_array(float *out, const bf16 *in, size_t count, int threads);

/* out[i] = float(bf16(in[i])); out may be in. As above. */
void bf16_round_floats(float *out, const float *in, size_t count, int threads);

#endif

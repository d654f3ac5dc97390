/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * A value depends on (seed, stream, index) alone, never on what was drawn before, nor on ranks or threads. */
#ifndef VGG11_BASE_RANDOM_H
#define VGG11_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Streams in use. Epoch e shuffles with RANDOM_STREAM_EPOCH + e, tensor t initialises with RANDOM_STREAM_INIT + t,
 * and images of epoch e are changed with RANDOM_STREAM_AUGMENT + e, block i for sample i. */
#define RANDOM_STREAM_INIT UINT64_C(0x1000000000000000)
#define RANDOM_STREAM_EPOCH UINT64_C(0x2000000000000000)
#define RANDOM_STREAM_SYNTHETIC UINT64_C(0x3000000000000000)
#define RANDOM_STREAM_AUGMENT UINT64_C(0x4000000000000000)
#define RANDOM_STREAM_VALIDATION UINT64_C(0x5000000000000000)

/* Four 32-bit words for block `index` of `stream` under `seed`. */
void random_block(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4]);

/* Uniform in [0, 1): 24 bits, exactly representable. */
float random_uniform(uint64_t seed, uint64_t stream, uint64_t index);

/* values[i] uniform in [-limit, limit), i < count. */
void random_fill_uniform(uint64_t seed, uint64_t stream, float limit, float *values, size_t count);

/* values[i] ~ N(0, deviation^2) by Box-Muller, i < count. */
void random_fill_normal(uint64_t seed, uint64_t stream, float deviation, float *values, size_t count);

/* order = a permutation of 0..count-1 (Fisher-Yates, without modulo bias). */
void random_permutation(uint64_t seed, uint64_t stream, uint32_t *order, uint32_t count);

#endif

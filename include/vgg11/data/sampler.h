/* The order of samples in an epoch, and each rank's part of each batch: pure functions, the same on every rank. */
#ifndef VGG11_DATA_SAMPLER_H
#define VGG11_DATA_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "vgg11/base/range.h"

/* order[count] = the permutation of epoch `epoch` (0 for the first) under `seed`; 0..count-1 without shuffling. */
void sampler_order(uint64_t seed, uint32_t epoch, bool shuffle, uint32_t *order, uint32_t count);

/* places[count] = a permutation that depends on count alone: its last samples are held out for validation, the same whatever the seed. */
void sampler_split(uint32_t *places, uint32_t count);

/* Steps in an epoch: the last batch may be short. */
uint32_t sampler_steps(uint32_t count, uint32_t batch_size);

/* Positions in `order` of global batch `step` (0 for the first of the epoch). */
vgg_range sampler_batch(uint32_t count, uint32_t batch_size, uint32_t step);

#endif

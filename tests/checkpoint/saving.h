/* What the tests of interrupted saves save. */
#ifndef VGG11_TEST_SAVING_H
#define VGG11_TEST_SAVING_H

#include <stdint.h>

#include "vgg11/checkpoint/checkpoint.h"

/* A flat buffer of model_flat_count() floats, made from the seed; zeros from 0. vgg_unmap() frees it. */
float *saving_flat(unsigned seed);

/* A checkpoint of this step. */
vgg_status saving_save(const char *path, uint64_t step, const float *weights, const float *velocity);

#endif

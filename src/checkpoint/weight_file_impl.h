/* What the formats of weight files share. */
#ifndef VGG11_CHECKPOINT_WEIGHT_FILE_IMPL_H
#define VGG11_CHECKPOINT_WEIGHT_FILE_IMPL_H

#include <stddef.h>
#include <stdint.h>

#include "checkpoint/file.h"
#include "vgg11/checkpoint/weight_file.h"

vgg_status pytorch_write(const char *path, const checkpoint_state *state, const float *weights);
vgg_status pytorch_read(const char *path, float *weights);
vgg_status keras_write(const char *path, const checkpoint_state *state, const float *weights);
vgg_status keras_read(const char *path, float *weights);

/* Writes the parts, after which `read` must give the same weights. */
vgg_status weight_file_replace(const char *path, const file_part *parts, size_t count, const float *weights,
                               vgg_status (*read)(const char *path, float *weights));

/* VGG_BAD_CHECKPOINT, naming the tensor, if a number is not finite or `expected`, unless NULL, is not the data's CRC-32C. */
vgg_status weight_file_check(const char *path, const char *name, const float *data, size_t count, const uint32_t *expected);

#endif

/* What the parts of the checkpoint code share. */
#ifndef VGG11_CHECKPOINT_FILE_H
#define VGG11_CHECKPOINT_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "vgg11/base/status.h"

/* Reads all of it and checks everything; uses nothing. */
vgg_status checkpoint_verify(const char *path);

/* No NaN and no infinity among values[count]. */
bool checkpoint_finite(const float *values, size_t count);

#endif

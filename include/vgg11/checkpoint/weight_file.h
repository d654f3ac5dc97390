/* Files of weights alone, for other programs and for runs that begin with them (see docs/weights.md for the networks they fit).
 * Not collective: one process writes and reads; whoever calls shares the outcome. */
#ifndef VGG11_CHECKPOINT_WEIGHT_FILE_H
#define VGG11_CHECKPOINT_WEIGHT_FILE_H

#include "vgg11/base/status.h"
#include "vgg11/checkpoint/checkpoint.h"

typedef struct {
    const char *name;
    const char *good_when;
    /* Writes in place of the file or link `path`, whole or not at all, weights[model_flat_count()] of the checkpoint that `state`
     * describes. VGG_IO_ERROR leaves no partial file; VGG_UNAVAILABLE if memory or this build is short of what it needs. */
    vgg_status (*write)(const char *path, const checkpoint_state *state, const float *weights);
    /* Reads weights[model_flat_count()], padding zeroed. VGG_BAD_CHECKPOINT says which tensor is missing, has another type or shape,
     * or is not finite, or that the file is damaged; the weights are then undefined. */
    vgg_status (*read)(const char *path, float *weights);
} weight_format;

extern const weight_format weight_formats[]; /* ended by a row without a name */
const weight_format *weight_format_find(const char *name);

/* Reads a file in any of the formats, or the weights of a checkpoint, as above; *format says in which it was. */
vgg_status weight_file_read(const char *path, float *weights, const weight_format **format);

#endif

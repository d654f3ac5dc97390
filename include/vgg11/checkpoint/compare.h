/* Two checkpoints, tensor by tensor. Not collective. */
#ifndef VGG11_CHECKPOINT_COMPARE_H
#define VGG11_CHECKPOINT_COMPARE_H

#include <stddef.h>

#include "vgg11/checkpoint/checkpoint.h"

/* How two tensors of one name differ. */
typedef struct {
    char name[32];   /* as in the file: "conv1.kernel", "velocity.conv1.kernel" */
    size_t count;    /* numbers of the tensor */
    size_t unlike;   /* of these, those whose bits differ */
    size_t index;    /* of the first such number, in the order of the file */
    float values[2]; /* that number in both */
    double largest;  /* greatest |a - b| in this tensor */
} tensor_difference;

/* Of the weights, or of the velocity. */
typedef struct {
    int tensors;             /* whose bits differ */
    tensor_difference first; /* of these, in the order of the file; meaningless if there is none */
} half_difference;

typedef struct {
    half_difference weights;
    half_difference velocity;
} checkpoint_difference;

/* Reads both files as checkpoint_load() does and compares the bits of all tensors; their headers go into `states`, which the caller
 * clears in any case. Holds both, 516 MB. VGG_BAD_CHECKPOINT says what is wrong with which, VGG_UNAVAILABLE if there is no memory. */
vgg_status checkpoint_compare(const char *const paths[2], checkpoint_state states[2], checkpoint_difference *difference);

#endif

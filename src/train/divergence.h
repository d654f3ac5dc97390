/* Notices that a run leads nowhere. */
#ifndef VGG11_TRAIN_DIVERGENCE_H
#define VGG11_TRAIN_DIVERGENCE_H

#include <stdint.h>

#include "vgg11/base/status.h"

/* Zero at first. */
typedef struct {
    double average; /* moving, of the losses */
    double allowed;
    uint64_t seen;
} divergence_watch;

/* VGG_DIVERGED if the loss or the gradient's norm of step `step` is not finite, or if the loss has been far above what guessing
 * costs, and above where it began, for many steps in a row: nothing good comes of it. */
vgg_status divergence_check(divergence_watch *watch, uint64_t step, double loss, double norm);

#endif

/* Detection of a training run that diverges. */
#ifndef VGG11_TRAIN_DIVERGENCE_H
#define VGG11_TRAIN_DIVERGENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "vgg11/base/status.h"

/* To be zeroed at the start of a run. */
typedef struct {
    double average; /* moving average of the losses */
    double allowed; /* the largest average that counts as no divergence */
    uint64_t seen;  /* losses so far */
} divergence_watch;

/* VGG_DIVERGED if, with the finite loss of step `step`, the moving average of the loss is far above both the loss of guessing and the
 * loss of the first steps. */
vgg_status divergence_check(divergence_watch *watch, uint64_t step, double loss);

/* Whether the last check found that. */
bool divergence_ran_away(const divergence_watch *watch);

#endif

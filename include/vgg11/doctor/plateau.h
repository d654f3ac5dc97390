/* A training loss that stands where guessing has it: told in one line, once in a run. */
#ifndef VGG11_DOCTOR_PLATEAU_H
#define VGG11_DOCTOR_PLATEAU_H

#include <stdbool.h>
#include <stdint.h>

#include "vgg11/base/run_events.h"

/* The caller's, who leaves it alone but for `said`. */
typedef struct {
    uint64_t block; /* steps over which losses are averaged */
    uint64_t steps; /* of the block that is under way */
    double sum;     /* of their losses */
    double before;  /* mean of the block before; infinite if there is none */
    double rate;    /* of the last step */
    bool said;
} doctor_plateau;

/* Warns when the mean loss of two blocks in a row is within 2 % of ln 10, that of equal probabilities for all ten classes, and the second
 * mean is no more than half a percent below the first. A block is a sixteenth of an epoch, and 25 steps at least, so that this takes an
 * eighth of an epoch, or 50 steps. What is learned in warm-up does not count: each step whose rate is higher than the one before begins
 * anew. `plateau` must outlive the run. */
run_observer doctor_plateau_observer(doctor_plateau *plateau);

#endif

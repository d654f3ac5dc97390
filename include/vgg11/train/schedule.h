/* Learning rate over the steps of a run. */
#ifndef VGG11_TRAIN_SCHEDULE_H
#define VGG11_TRAIN_SCHEDULE_H

#include <stdint.h>

#define SCHEDULE_WARMUP_AUTO UINT64_MAX

typedef struct {
    const char *name;
    const char *good_when;
    /* Factor of the base rate at `progress`, 0..1, through the steps after warm-up. */
    double (*factor)(double progress);
} schedule_shape;

/* Ended by a row whose name is NULL: cosine (Loshchilov & Hutter, arXiv:1608.03983, one cycle to zero), linear (to
 * zero; with warm-up the triangle of Smith & Topin's one-cycle policy, arXiv:1708.07120), constant. */
extern const schedule_shape schedule_shapes[];
const schedule_shape *schedule_find(const char *name);

/* The steps of warm-up that were asked for; for SCHEDULE_WARMUP_AUTO 100, but no more than a tenth of `steps`: a short run would
 * end before its rate has risen. */
uint64_t schedule_warmup(uint64_t asked, uint64_t steps);

/* Learning rate of step `step` (0 for the first) of `steps`: linear from base / warmup to base over `warmup` steps (Goyal et al.,
 * arXiv:1706.02677), then base times the shape's factor; from step `steps` on, the rate at which the shape ends. */
double schedule_rate(const schedule_shape *shape, double base, uint64_t warmup, uint64_t steps, uint64_t step);

#endif

#include "train/divergence.h"

#include <inttypes.h>
#include <math.h>

#include "vgg11/nn/model.h"

enum { SETTLING_STEPS = 20, AVERAGED_STEPS = 50, RUNAWAY_FACTOR = 4 };

bool divergence_ran_away(const divergence_watch *watch) { return watch->average > watch->allowed; }

vgg_status divergence_check(divergence_watch *watch, uint64_t step, double loss)
{
    watch->seen++;
    double weight = 1.0 / (double)(watch->seen < AVERAGED_STEPS ? watch->seen : AVERAGED_STEPS);
    watch->average += weight * (loss - watch->average);
    if (watch->seen <= SETTLING_STEPS) watch->allowed = RUNAWAY_FACTOR * fmax(log(MODEL_CLASSES), watch->average);
    if (!divergence_ran_away(watch)) return VGG_OK;
    return vgg_fail(VGG_DIVERGED, "training diverged: loss runs away (about %.3g over the last steps, at step %" PRIu64 ")",
                    watch->average, step);
}

/* What the benchmarks of the step and of the exchanges have in common: initial weights, and the update after each exchange. */
#ifndef VGG11_BENCH_EXCHANGE_UPDATE_H
#define VGG11_BENCH_EXCHANGE_UPDATE_H

#include "vgg11/train/step.h"

/* Collective. Sets initial weights on all ranks. */
void exchange_update_start(comm *c, exchange *ex, uint64_t seed);

/* Collective. Calls training_step_clip() and training_step_update() with usual settings of the optimizer. */
void exchange_update_run(training_step *step);

#endif

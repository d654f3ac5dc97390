/* What benchmarks have in common: where weights start, and the update that follows each exchange. */
#ifndef VGG11_BENCH_EXCHANGE_UPDATE_H
#define VGG11_BENCH_EXCHANGE_UPDATE_H

#include "vgg11/train/step.h"

/* Collective. Initial weights on all ranks. */
void exchange_update_start(comm *c, exchange *ex, uint64_t seed);

/* Collective. training_step_update() with a usual optimizer. */
void exchange_update_run(training_step *step);

#endif

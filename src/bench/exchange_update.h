/* The exchange and the update as the benchmark drives them: what follows the gradient in every measured step. */
#ifndef VGG11_BENCH_EXCHANGE_UPDATE_H
#define VGG11_BENCH_EXCHANGE_UPDATE_H

#include "vgg11/bench/bench.h"
#include "vgg11/train/step.h"

/* Collective. The strategy `name`, with factors if config->factors; status as exchange_create(). */
vgg_status exchange_update_open(comm *c, const bench_config *config, const char *name, training_step *out);

/* Collective. Initial weights on all ranks. */
void exchange_update_start(comm *c, exchange *ex, uint64_t seed);

/* Collective, after exchange_finish(): norm, clipping, Nesterov update of what this rank owns, publication. */
void exchange_update_run(const training_step *step, const factor_batch *batch, int threads);

#endif

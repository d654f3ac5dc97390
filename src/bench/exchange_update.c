#include "bench/exchange_update.h"

#include "vgg11/nn/initialize.h"

vgg_status exchange_update_open(comm *c, const bench_config *config, const char *name, training_step *out)
{
    training_step_config wanted = {.factors = config->factors,
                                 .precision = config->precision,
                                 .conv = config->conv,
                                 .images = config->batch_size,
                                 .exchange = {.name = name,
                                              .wire = config->wire,
                                              .threads = config->threads,
                                              .slices = config->slices,
                                              .tune = true,
                                              .bucket_mib = config->bucket_mib}};
    return training_step_open(c, &wanted, out);
}

void exchange_update_start(comm *c, exchange *ex, uint64_t seed)
{
    if (comm_rank(c) == 0) initializer_find("he")->fill(seed, exchange_weights(ex));
    exchange_distribute(ex, exchange_weights(ex));
}

void exchange_update_run(const training_step *step, const factor_batch *batch, int threads)
{
    const optimizer_config settings = {
        .momentum = 0.9f, .nesterov = true, .clip_norm = 1.0f, .mode = CLIP_GLOBAL, .threads = threads};
    training_step_update(step, batch, &settings, 0.001);
}

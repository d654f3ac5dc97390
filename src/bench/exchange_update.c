#include "bench/exchange_update.h"

#include "vgg11/nn/initialize.h"

void exchange_update_start(comm *c, exchange *ex, uint64_t seed)
{
    if (comm_rank(c) == 0) initializer_find("he")->fill(seed, exchange_weights(ex));
    exchange_distribute(ex, exchange_weights(ex));
}

void exchange_update_run(training_step *step)
{
    const optimizer_config usual = {
        .momentum = 0.9f, .nesterov = true, .clip_norm = 1.0f, .mode = CLIP_GLOBAL, .threads = step->threads};
    clip_result clip = training_step_clip(step, &usual);
    training_step_update(step, &usual, &clip, 0.001);
}

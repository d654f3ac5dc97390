#include "app/step_config.h"

training_step_config step_config_of(const options *o, int threads, const char *plan_cache)
{
    return (training_step_config){
        .network = {.threads = threads,
                    .precision = (vgg_precision)option_choice_index(option_precisions, o->precision),
                    .conv = o->conv,
                    .tune = !o->no_tune,
                    .plan_cache = plan_cache,
                    .retune = o->retune,
                    .spread_limit = o->plan_spread},
        .exchange = {.name = o->exchange,
                     .tune = !o->no_tune,
                     .wire = (exchange_wire)option_choice_index(option_wires, o->wire),
                     .micro_batches = (int)o->micro_batches,
                     .bucket_mib = (int)o->bucket},
        .factors = !o->no_factors,
        .batch_size = o->batch_size,
        .label_smoothing = o->label_smoothing,
    };
}

optimizer_config optimizer_config_of(const options *o, int threads)
{
    return (optimizer_config){.momentum = (float)o->momentum,
                              .nesterov = !o->no_nesterov,
                              .weight_decay = (float)o->weight_decay,
                              .clip_norm = (float)o->clip_norm,
                              .mode = (clip_mode)option_choice_index(option_clip_modes, o->clip_mode),
                              .threads = threads};
}

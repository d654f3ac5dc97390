#include "bench/moving.h"

#include "vgg11/nn/initialize.h"

vgg_status moving_open(comm *c, const bench_config *config, const char *name, exchange **out)
{
    const tensor_view *tensors = model_tensors();
    vgg_range segments[MODEL_TENSORS];
    for (int i = 0; i < MODEL_TENSORS; i++)
        segments[i] = (vgg_range){tensors[i].offset, tensors[i].count};
    exchange_config wanted = {.name = name,
                              .count = model_flat_count(),
                              .segments = segments,
                              .segment_count = MODEL_TENSORS,
                              .wire = config->wire,
                              .threads = config->threads,
                              .slices = config->slices,
                              .bucket_mib = config->bucket_mib};
    return exchange_create(c, &wanted, out);
}

void moving_start(comm *c, exchange *ex, uint64_t seed)
{
    if (comm_rank(c) == 0) initializer_find("he")->fill(seed, exchange_weights(ex));
    exchange_distribute(ex, exchange_weights(ex));
}

void moving_update(exchange *ex, int threads)
{
    const optimizer_config settings = {
        .momentum = 0.9f, .nesterov = true, .clip_norm = 1.0f, .mode = CLIP_GLOBAL, .threads = threads};
    const float lr = 0.001f;
    double sums[MODEL_TENSORS];
    clip_result clip;
    exchange_square_sums(ex, sums);
    optimizer_clip(&settings, sums, &clip);
    optimizer_update(&settings, &clip, lr, exchange_owned(ex), exchange_weights(ex), exchange_velocity(ex),
                     exchange_gradient(ex));
    exchange_publish(ex);
}

#include "vgg11/train/step.h"

#include <math.h>
#include <string.h>

#include "vgg11/base/log.h"

static void close_factors(training_step *step)
{
    factors_close(step->f);
    step->f = NULL;
}

static vgg_status open_factors(comm *c, const training_step_config *config, training_step *step)
{
    bool named = config->conv && strcmp(config->conv, "auto") != 0;
    factors_config wanted = {config->precision, config->images, (size_t)comm_size(c)};
    if (!config->factors || named || config->exchange.slices > 0) return VGG_OK;
    vgg_status status = comm_agree(c, factors_open(&wanted, &step->f));
    if (status == VGG_OK && !comm_same(c, factors_layout(step->f)))
        status = vgg_fail(VGG_DECLINED, "the processors of the ranks would lay their factors out unlike");
    if (status != VGG_DECLINED) return status;
    close_factors(step); /* also where this rank could have them: all ranks have them, or none */
    vgg_log(VGG_LOG_DEBUG, "gradients of dense kernels are whole: %s", vgg_message());
    return VGG_OK;
}

static void describe_tensors(const factor_set *f, vgg_range segments[MODEL_TENSORS], bool excluded[MODEL_TENSORS])
{
    const tensor_view *tensors = model_tensors();
    for (int i = 0; i < MODEL_TENSORS; i++) {
        segments[i] = (vgg_range){tensors[i].offset, tensors[i].count};
        excluded[i] = tensors[i].kernel && factors_hold(f, i / 2);
    }
}

vgg_status training_step_open(comm *c, const training_step_config *config, training_step *out)
{
    vgg_range segments[MODEL_TENSORS];
    bool excluded[MODEL_TENSORS];
    *out = (training_step){0};
    VGG_TRY(open_factors(c, config, out));
    describe_tensors(out->f, segments, excluded);
    exchange_config wanted = config->exchange;
    wanted.count = model_flat_count();
    wanted.segments = segments;
    wanted.segment_count = MODEL_TENSORS;
    wanted.excluded = excluded;
    wanted.node_scratch_bytes = out->f ? factors_bytes(out->f) : 0;
    VGG_TRY(exchange_create(c, &wanted, &out->ex));
    if (out->f && !exchange_node_scratch(out->ex)) close_factors(out);
    vgg_log(VGG_LOG_DEBUG, "exchange: %s; gradients of large dense kernels %s", exchange_reason(out->ex), out->f ? "in factors" : "whole");
    return VGG_OK;
}

void training_step_close(training_step *step)
{
    exchange_destroy(step->ex);
    factors_close(step->f);
    *step = (training_step){0};
}

factor_batch training_step_factors(const training_step *step, size_t images, int threads)
{
    return (factor_batch){step->f, step->f ? exchange_node_scratch(step->ex) : NULL, images, exchange_micro_batches(step->ex).first, threads};
}

clip_result training_step_update(const training_step *step, const factor_batch *batch, const optimizer_config *optimizer, double lr)
{
    exchange *ex = step->ex;
    double square_sums[MODEL_TENSORS];
    clip_result clip;
    if (step->f) factors_reduce_square_sums(batch);
    exchange_square_sums(ex, square_sums);
    if (step->f) factors_read_square_sums(batch, square_sums);
    optimizer_clip(optimizer, square_sums, &clip);
    if (isfinite(clip.norm)) {
        optimizer_buffers buffers = {exchange_weights(ex), exchange_velocity(ex), exchange_gradient(ex), batch};
        optimizer_update(optimizer, &clip, (float)lr, exchange_owned(ex), &buffers);
    }
    exchange_publish(ex);
    return clip;
}

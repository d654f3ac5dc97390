#include "vgg11/train/step.h"

#include <stdlib.h>
#include <string.h>

#include "train/pass_digest.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/log.h"
#include "vgg11/base/memory.h"
#include "vgg11/train/watchdog.h"

static double agree_largest(void *context, double value) { return comm_max(context, value); }

conv_agreement training_step_agreement(comm *c) { return (conv_agreement){c, agree_largest}; }

/* Micro-batches of a batch over all ranks: as many as were asked for, or one for each rank. */
static size_t micro_batches_of_all(const comm *c, const exchange_config *config)
{
    return config->micro_batches > 0 ? (size_t)config->micro_batches : (size_t)comm_size(c);
}

int training_step_capacity(const comm *c, const training_step_config *config)
{
    size_t most = range_part(config->batch_size, micro_batches_of_all(c, &config->exchange), 0).count;
    return most > 0 ? (int)most : 1;
}

static void close_factors(training_step *step)
{
    factors_close(step->f);
    step->f = NULL;
}

static vgg_status open_factors(training_step *step, const training_step_config *config)
{
    const network_config *net = &config->network;
    bool named = net->conv && strcmp(net->conv, "auto") != 0;
    factors_config wanted = {net->precision, config->batch_size, (size_t)comm_size(step->c)};
    if (!config->factors || named || config->exchange.micro_batches > 0) return VGG_OK;
    vgg_status status = comm_agree(step->c, factors_open(&wanted, &step->f));
    if (status == VGG_OK && !comm_same(step->c, factors_layout(step->f)))
        status = vgg_fail(VGG_DECLINED, "the processors of the ranks would lay their factors out unlike");
    if (status != VGG_DECLINED) return status;
    close_factors(step); /* also where this rank could have them: all ranks have factors, or none has */
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

/* Opens the recorded exchange, or, where there is none or it does not open, the one that was asked for. */
static vgg_status create_exchange(training_step *step, const training_step_config *config, exchange_config *wanted)
{
    if (config->recorded_exchange) {
        wanted->name = config->recorded_exchange;
        wanted->reason = "as before it was resumed";
        vgg_status status = exchange_create(step->c, wanted, &step->ex);
        if (status != VGG_UNAVAILABLE) return status;
        vgg_log(VGG_LOG_DEBUG, "the checkpoint's exchange is not to be had: %s", vgg_message());
    }
    wanted->name = config->exchange.name;
    wanted->reason = config->exchange.reason;
    return exchange_create(step->c, wanted, &step->ex);
}

vgg_status training_step_open_exchange(comm *c, const training_step_config *config, training_step *step)
{
    vgg_range segments[MODEL_TENSORS];
    bool excluded[MODEL_TENSORS];
    *step = (training_step){.c = c,
                            .threads = config->network.threads,
                            .capacity = training_step_capacity(c, config),
                            .label_smoothing = config->label_smoothing};
    VGG_TRY(open_factors(step, config));
    describe_tensors(step->f, segments, excluded);
    exchange_config wanted = config->exchange;
    wanted.threads = step->threads;
    wanted.count = model_flat_count();
    wanted.segments = segments;
    wanted.segment_count = MODEL_TENSORS;
    wanted.excluded = excluded;
    wanted.node_scratch_bytes = step->f ? factors_bytes(step->f) : 0;
    VGG_TRY(create_exchange(step, config, &wanted));
    if (step->f && !exchange_node_scratch(step->ex)) close_factors(step);
    vgg_log(VGG_LOG_DEBUG, "exchange: %s; gradients of large dense kernels %s", exchange_reason(step->ex),
            step->f ? "in factors" : "whole");
    return VGG_OK;
}

static vgg_status open_network(training_step *step, const training_step_config *config)
{
    network_config wanted = config->network;
    wanted.batch_capacity = step->capacity;
    wanted.training = true;
    wanted.node_ranks = comm_node_size(step->c);
    wanted.agreement = training_step_agreement(step->c);
    return network_create(&wanted, &step->net);
}

static vgg_status open_buffers(training_step *step)
{
    size_t capacity = (size_t)step->capacity;
    step->labels = calloc(capacity, sizeof *step->labels);
    step->dlogits = aligned_alloc(VGG_ALIGNMENT_BYTES, vgg_round_up(capacity * MODEL_CLASSES * sizeof(float), VGG_ALIGNMENT_BYTES));
    if (step->labels && step->dlogits) return VGG_OK;
    return vgg_fail(VGG_UNAVAILABLE, "no memory for batches of %d images", step->capacity);
}

static size_t replayed_bytes(void) { return model_flat_count() * sizeof(float); }
static size_t replayed_factors_bytes(const training_step *step) { return step->f ? factors_bytes(step->f) : 0; }

static vgg_status open_replay(training_step *step, const training_step_config *config)
{
    if (!config->replay) return VGG_OK;
    void *gradient;
    VGG_TRY(vgg_map(replayed_bytes(), &gradient));
    step->replayed = gradient;
    return vgg_map(replayed_factors_bytes(step), &step->replayed_factors);
}

static void close_replay(training_step *step)
{
    vgg_unmap(step->replayed, replayed_bytes());
    vgg_unmap(step->replayed_factors, replayed_factors_bytes(step));
}

vgg_status training_step_open(comm *c, const training_step_config *config, training_step *step)
{
    VGG_TRY(training_step_open_exchange(c, config, step));
    VGG_TRY(comm_agree(c, open_network(step, config)));
    VGG_TRY(comm_agree(c, open_buffers(step)));
    return comm_agree(c, open_replay(step, config));
}

void training_step_close(training_step *step)
{
    network_destroy(step->net);
    exchange_destroy(step->ex);
    close_replay(step);
    factors_close(step->f);
    free(step->labels);
    free(step->dlogits);
    *step = (training_step){0};
}

void training_step_trace(training_step *step, span_log *log)
{
    step->spans = log;
    network_trace(step->net, log);
    exchange_trace(step->ex, log);
}

int training_step_micro_batches(const training_step *step) { return (int)exchange_micro_batches(step->ex).count; }

vgg_range training_step_images(const training_step *step, int index)
{
    vgg_range own = exchange_micro_batches(step->ex);
    size_t all = own.count * (size_t)comm_size(step->c);
    return range_part(step->images, all, own.first + (size_t)index);
}

void training_step_begin(training_step *step, size_t images)
{
    step->times = (training_step_times){0};
    step->started_s = clock_now_s();
    step->images = images;
    step->factors = (factor_batch){.f = step->f,
                                   .memory = step->f ? exchange_node_scratch(step->ex) : NULL,
                                   .images = images,
                                   .rank = exchange_micro_batches(step->ex).first,
                                   .threads = step->threads};
    exchange_begin(step->ex);
}

/* One pass over a micro-batch, and where its gradient goes. It is the context of the backward pass' hooks. */
typedef struct {
    training_step *step;
    int index;
    float *gradient;
    const factor_batch *factors;
    bool exchanged;      /* ranges go to the exchange as they become final */
    pass_digest *digest; /* what the pass gave, or NULL */
} micro_batch_pass;

static void on_range_final(void *context, size_t first, size_t count)
{
    const micro_batch_pass *pass = context;
    if (pass->digest) pass_digest_gradient(pass->digest, pass->gradient, pass->factors, (vgg_range){first, count});
    if (pass->exchanged) exchange_micro_batch_range_final(pass->step->ex, pass->index, first, count);
}

static void on_poll(void *context)
{
    exchange_poll(((const micro_batch_pass *)context)->step->ex);
    watchdog_move();
}

static loss_result compute(micro_batch_pass *pass)
{
    training_step *step = pass->step;
    const float *weights = exchange_weights(step->ex);
    network_hooks hooks = {pass, on_range_final, on_poll};
    int n = (int)training_step_images(step, pass->index).count;
    double start = clock_now_s(), exposed_s = exchange_exposed_s(step->ex);
    const float *logits = network_forward(step->net, weights, n);
    span_end(step->spans, start, "forward");
    if (pass->digest) pass_digest_outputs(pass->digest, step->net);
    double forward = clock_now_s();
    loss_result loss = loss_softmax_cross_entropy(logits, step->labels, n, step->label_smoothing,
                                                  (float)(1.0 / (double)step->images), step->dlogits);
    if (pass->digest) pass_digest_loss(pass->digest, loss);
    span_end(step->spans, forward, pass->digest ? "loss and hashes" : "loss");
    double backward = span_start(step->spans);
    network_backward(step->net, weights, step->dlogits, pass->gradient, pass->factors, &hooks);
    span_end(step->spans, backward, "backward");
    step->times.forward_s += forward - start;
    step->times.backward_s += clock_now_s() - forward - (exchange_exposed_s(step->ex) - exposed_s);
    return loss;
}

static micro_batch_pass exchanged_pass(training_step *step, int index)
{
    return (micro_batch_pass){step, index, exchange_micro_batch_gradient(step->ex, index), &step->factors, true, NULL};
}

loss_result training_step_forward_backward(training_step *step, int index)
{
    micro_batch_pass pass = exchanged_pass(step, index);
    return compute(&pass);
}

loss_result training_step_replay(training_step *step, int index, char differs[TRAINING_STEP_RESULT_BYTES])
{
    pass_digest digests[2];
    factor_batch factors = step->factors;
    factors.memory = step->replayed_factors;
    micro_batch_pass pass = exchanged_pass(step, index), again = {step, index, step->replayed, &factors, false, &digests[1]};
    pass.digest = &digests[0];
    loss_result loss = compute(&pass);
    double start = span_start(step->spans);
    compute(&again);
    span_end(step->spans, start, "replay");
    pass_digest_compare(&digests[0], &digests[1], differs, TRAINING_STEP_RESULT_BYTES);
    return loss;
}

void training_step_allreduce(training_step *step)
{
    step->computed_s = clock_now_s();
    step->times.exchange_s = exchange_exposed_s(step->ex);
    exchange_finish(step->ex);
    span_end(step->spans, step->computed_s, "exchange");
}

clip_result training_step_clip(training_step *step, const optimizer_config *optimizer)
{
    double start = clock_now_s(), square_sums[MODEL_TENSORS];
    clip_result clip;
    if (step->f) factors_reduce_square_sums(&step->factors);
    exchange_square_sums(step->ex, square_sums);
    if (step->f) factors_read_square_sums(&step->factors, square_sums);
    optimizer_clip(optimizer, square_sums, &clip);
    step->clipped_s = clock_now_s();
    span_end(step->spans, start, "norm and clip");
    step->times.exchange_s += start - step->computed_s;
    step->times.update_s = step->clipped_s - start;
    return clip;
}

/* What passed between clipping and `start` was for the ranks to agree. */
static void end_step(training_step *step, double start, double updated)
{
    double end = clock_now_s();
    step->times.exchange_s += start - step->clipped_s;
    step->times.update_s += updated - start;
    step->times.prepare_s = end - updated;
    step->times.step_s = end - step->started_s;
}

void training_step_update(training_step *step, const optimizer_config *optimizer, const clip_result *clip, double lr)
{
    double start = clock_now_s();
    exchange *ex = step->ex;
    optimizer_buffers buffers = {exchange_weights(ex), exchange_velocity(ex), exchange_gradient(ex), &step->factors};
    optimizer_update(optimizer, clip, (float)lr, exchange_owned(ex), &buffers);
    exchange_publish(ex);
    double updated = clock_now_s();
    span_add(step->spans, SPAN_TRAINING, "update", NULL, start, updated, (span_work){0});
    if (step->net) network_prepare(step->net, exchange_weights(ex));
    end_step(step, start, updated);
    span_end(step->spans, updated, "prepare weights");
}

void training_step_discard(training_step *step)
{
    double start = clock_now_s();
    exchange_publish(step->ex); /* nobody begins the next step while others still read what this one left */
    end_step(step, start, clock_now_s());
}

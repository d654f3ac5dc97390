/* The whole step, and within it each layer and pass. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/exchange_update.h"
#include "bench/result.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/random.h"
#include "vgg11/base/range.h"
#include "vgg11/nn/loss.h"
#include "vgg11/train/slice_hooks.h"

enum { MODEL_PIXELS = MODEL_SIDE * MODEL_SIDE, WARM_UP_STEPS = 2, SERIES = MODEL_LAYERS * CONV_PASSES + STEP_PARTS };

const char *const bench_pass_names[CONV_PASSES] = {"forward", "input grad", "weight grad"};
const char *const bench_step_names[STEP_PARTS] = {
    "prepare weights", "forward", "backward", "exchange, exposed", "norm + update", "exchange + update", "whole step"};

/* A network, an exchange and this rank's part of a batch. */
typedef struct {
    comm *c;
    const bench_config *config;
    network *net;
    training_step weights;
    exchange *ex;    /* weights.ex */
    vgg_arena arena;
    float *dlogits;  /* [capacity][10] */
    uint8_t *labels; /* [share.count] */
    vgg_range share; /* of the global batch: this rank's slices, one after the other */
    int capacity;    /* most images in one slice, at least 1 */
    double *samples; /* [SERIES][repeats] */
} session;

static double agree_max(void *c, double value)
{
    return comm_max(c, value);
}

static vgg_status open_batch(session *s)
{
    size_t n = s->share.count, logits = (size_t)s->capacity * MODEL_CLASSES;
    arena_reserve(&s->arena, logits * sizeof *s->dlogits);
    arena_reserve(&s->arena, n);
    VGG_TRY(arena_open(&s->arena));
    s->dlogits = arena_take(&s->arena, logits * sizeof *s->dlogits);
    s->labels = arena_take(&s->arena, n);
    uint64_t seed = s->config->seed, rank = (uint64_t)comm_rank(s->c);
    for (size_t i = 0; i < n; i++)
        s->labels[i] = (uint8_t)(MODEL_CLASSES * random_uniform(seed, RANDOM_STREAM_SYNTHETIC + 2 * rank + 1, i));
    return VGG_OK;
}

/* The same images for each slice. */
static void fill_images(session *s)
{
    uint64_t stream = RANDOM_STREAM_SYNTHETIC + 2 * (uint64_t)comm_rank(s->c);
    random_fill_normal(s->config->seed, stream, 1.0f, network_input(s->net), (size_t)s->capacity * MODEL_PIXELS);
}

static vgg_status open_local(session *s)
{
    s->samples = calloc((size_t)SERIES * s->config->repeats, sizeof *s->samples);
    if (!s->samples) return vgg_fail(VGG_UNAVAILABLE, "--repeats %u: no memory for so many times", s->config->repeats);
    return open_batch(s);
}

static vgg_status open_network(session *s)
{
    const bench_config *config = s->config;
    network_config wanted = {.batch_capacity = s->capacity,
                             .threads = config->threads,
                             .node_ranks = comm_node_size(s->c),
                             .precision = config->precision,
                             .conv = config->conv,
                             .training = true,
                             .tune = true,
                             .plan_cache = config->plan_cache,
                             .agreement = {s->c, agree_max}};
    return network_create(&wanted, &s->net);
}

/* Images of this rank's slice `index` in the global batch. */
static vgg_range slice_of(const session *s, int index)
{
    int slices = s->config->slices > 0 ? s->config->slices : comm_size(s->c);
    return range_part(s->config->batch_size, (size_t)slices, exchange_micro_batches(s->ex).first + (size_t)index);
}

static vgg_status session_open(session *s)
{
    VGG_TRY(exchange_update_open(s->c, s->config, s->config->exchange, &s->weights));
    s->ex = s->weights.ex;
    vgg_range first = slice_of(s, 0), last = slice_of(s, (int)exchange_micro_batches(s->ex).count - 1);
    s->share = (vgg_range){first.first, last.first + last.count - first.first};
    s->capacity = first.count > 0 ? (int)first.count : 1; /* no slice is larger than one before it */
    VGG_TRY(comm_agree(s->c, open_local(s)));
    VGG_TRY(comm_agree(s->c, open_network(s)));
    fill_images(s);
    exchange_update_start(s->c, s->ex, s->config->seed);
    return VGG_OK;
}

static void session_close(session *s)
{
    training_step_close(&s->weights);
    network_destroy(s->net);
    arena_close(&s->arena);
    free(s->samples);
}

/* Forward and backward over slice `index`; seconds of the forward pass. */
static double compute_slice(session *s, int index, const factor_batch *factors)
{
    exchanged_slice exchanged = {s->ex, index};
    const network_hooks hooks = slice_hooks(&exchanged);
    vgg_range slice = slice_of(s, index);
    size_t before = slice.first - s->share.first;
    double start = clock_now_s();
    const float *logits = network_forward(s->net, exchange_weights(s->ex), (int)slice.count);
    double forward_s = clock_now_s() - start;
    loss_softmax_cross_entropy(logits, s->labels + before, (int)slice.count, 1.0f / (float)s->config->batch_size,
                               s->dlogits);
    network_backward(s->net, exchange_weights(s->ex), s->dlogits, exchange_micro_batch_gradient(s->ex, index), factors,
                     &hooks);
    return forward_s;
}

/* One training step; seconds of its parts on this rank. */
static void run_step(session *s, double parts[STEP_PARTS])
{
    double start = clock_now_s(), forward_s = 0;
    network_prepare(s->net, exchange_weights(s->ex));
    double prepared = clock_now_s();
    factor_batch factors = training_step_factors(&s->weights, s->config->batch_size, s->config->threads);
    exchange_begin(s->ex);
    for (int i = 0; i < (int)exchange_micro_batches(s->ex).count; i++)
        forward_s += compute_slice(s, i, &factors);
    exchange_finish(s->ex);
    double finished = clock_now_s();
    exchange_update_run(&s->weights, &factors, s->config->threads);
    double end = clock_now_s();
    parts[STEP_PREPARE] = prepared - start;
    parts[STEP_FORWARD] = forward_s;
    parts[STEP_EXCHANGE] = exchange_exposed_s(s->ex);
    parts[STEP_BACKWARD] = finished - prepared - forward_s - parts[STEP_EXCHANGE];
    parts[STEP_UPDATE] = end - finished;
    parts[STEP_MOVING] = parts[STEP_EXCHANGE] + parts[STEP_UPDATE];
    parts[STEP_WHOLE] = end - start;
}

static double *series_of_layer(const session *s, int layer, int pass)
{
    return s->samples + (size_t)(layer * CONV_PASSES + pass) * s->config->repeats;
}

static double *series_of_part(const session *s, int part)
{
    return s->samples + (size_t)(MODEL_LAYERS * CONV_PASSES + part) * s->config->repeats;
}

static void run_steps(session *s)
{
    double parts[STEP_PARTS];
    for (int i = 0; i < WARM_UP_STEPS; i++)
        run_step(s, parts);
    for (uint32_t repeat = 0; repeat < s->config->repeats; repeat++) {
        network_timing(s->net, true);
        comm_barrier(s->c);
        run_step(s, parts);
        for (int layer = 0; layer < MODEL_LAYERS; layer++) {
            for (int pass = 0; pass < CONV_PASSES; pass++)
                series_of_layer(s, layer, pass)[repeat] = network_seconds(s->net, layer, pass);
        }
        for (int part = 0; part < STEP_PARTS; part++)
            series_of_part(s, part)[repeat] = parts[part];
    }
    network_timing(s->net, false);
}

/* Each time becomes the mean over ranks, so that parts add up; the whole step lasts until the slowest rank is done. */
static void combine_ranks(session *s)
{
    uint32_t repeats = s->config->repeats;
    double *whole = series_of_part(s, STEP_WHOLE);
    for (uint32_t i = 0; i < repeats; i++)
        whole[i] = comm_max(s->c, whole[i]);
    size_t count = (size_t)(SERIES - 1) * repeats;
    comm_sum_in_rank_order(s->c, s->samples, count);
    for (size_t i = 0; i < count; i++)
        s->samples[i] /= comm_size(s->c);
}
_Static_assert(STEP_WHOLE == STEP_PARTS - 1, "combine_ranks() takes the whole step for the last series");

static void take_layers(const session *s, bench_result *result)
{
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            if (layer == 0 && pass == CONV_INPUT_GRAD) continue;
            measurement *m = &result->layers[layer][pass];
            result->in_update[layer] = factors_hold(s->weights.f, layer);
            if (pass == CONV_WEIGHT_GRAD && result->in_update[layer]) continue;
            measurement_take(m, series_of_layer(s, layer, pass), s->config->repeats);
            snprintf(result->algorithms[layer][pass], sizeof result->algorithms[layer][pass], "%s",
                     network_algorithm(s->net, layer, pass));
        }
    }
}

static void take_parts(const session *s, bench_result *result)
{
    memcpy(result->step_seconds, series_of_part(s, STEP_WHOLE), s->config->repeats * sizeof(double));
    for (int part = 0; part < STEP_PARTS; part++)
        measurement_take(&result->step[part], series_of_part(s, part), s->config->repeats);
}

vgg_status bench_measure_step(comm *c, const bench_config *config, bench_result *result)
{
    session s = {.c = c, .config = config};
    vgg_status status = session_open(&s);
    if (status == VGG_OK) {
        run_steps(&s);
        combine_ranks(&s);
        take_layers(&s, result);
        take_parts(&s, result);
        snprintf(result->exchange, sizeof result->exchange, "%s", exchange_name(s.ex));
        snprintf(result->reason, sizeof result->reason, "%s", exchange_reason(s.ex));
        result->network_bytes = network_memory_bytes(s.net);
        result->cost = exchange_cost(s.ex);
    }
    session_close(&s);
    return status;
}

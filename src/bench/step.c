/* The whole step, and within it each layer and pass. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/moving.h"
#include "bench/result.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/random.h"
#include "vgg11/base/range.h"
#include "vgg11/nn/loss.h"

enum { WARM_UP_STEPS = 2, SERIES = MODEL_LAYERS * CONV_PASSES + STEP_PARTS };

const char *const bench_pass_names[CONV_PASSES] = {"forward", "input grad", "weight grad"};
const char *const bench_step_names[STEP_PARTS] = {
    "prepare weights", "forward", "backward", "exchange, exposed", "norm + update", "exchange + update", "whole step"};

/* A network, an exchange and this rank's part of a batch. */
typedef struct {
    comm *c;
    const bench_config *config;
    network *net;
    exchange *ex;
    vgg_arena arena;
    float *input;    /* [share.count][32][32][1] */
    float *dlogits;  /* [share.count][10] */
    uint8_t *labels; /* [share.count] */
    vgg_range share; /* of the global batch */
    double *samples; /* [SERIES][repeats] */
} session;

static double agree_max(void *c, double value)
{
    return comm_max(c, value);
}

static vgg_status open_batch(session *s)
{
    size_t n = s->share.count, pixels = n * MODEL_SIDE * MODEL_SIDE;
    arena_reserve(&s->arena, pixels * sizeof *s->input);
    arena_reserve(&s->arena, n * MODEL_CLASSES * sizeof *s->dlogits);
    arena_reserve(&s->arena, n);
    VGG_TRY(arena_open(&s->arena));
    s->input = arena_take(&s->arena, pixels * sizeof *s->input);
    s->dlogits = arena_take(&s->arena, n * MODEL_CLASSES * sizeof *s->dlogits);
    s->labels = arena_take(&s->arena, n);
    uint64_t seed = s->config->seed, rank = (uint64_t)comm_rank(s->c);
    random_fill_normal(seed, RANDOM_STREAM_SYNTHETIC + 2 * rank, 1.0f, s->input, pixels);
    for (size_t i = 0; i < n; i++)
        s->labels[i] = (uint8_t)(MODEL_CLASSES * random_uniform(seed, RANDOM_STREAM_SYNTHETIC + 2 * rank + 1, i));
    return VGG_OK;
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
    network_config wanted = {.batch_capacity = s->share.count > 0 ? (int)s->share.count : 1,
                             .threads = config->threads,
                             .precision = config->precision,
                             .conv = config->conv,
                             .training = true,
                             .tune = true,
                             .plan_cache = config->plan_cache,
                             .agreement = {s->c, agree_max}};
    return network_create(&wanted, &s->net);
}

static vgg_status session_open(session *s)
{
    s->share = range_part(s->config->batch_size, (size_t)comm_size(s->c), (size_t)comm_rank(s->c));
    VGG_TRY(comm_agree(s->c, open_local(s)));
    VGG_TRY(comm_agree(s->c, open_network(s)));
    VGG_TRY(moving_open(s->c, s->config, s->config->exchange, &s->ex));
    moving_start(s->c, s->ex, s->config->seed);
    return VGG_OK;
}

static void session_close(session *s)
{
    exchange_destroy(s->ex);
    network_destroy(s->net);
    arena_close(&s->arena);
    free(s->samples);
}

static void range_final(void *ex, size_t first, size_t count)
{
    exchange_range_final(ex, first, count);
}
static void poll(void *ex)
{
    exchange_poll(ex);
}

/* One training step; seconds of its parts on this rank. */
static void run_step(session *s, double parts[STEP_PARTS])
{
    const network_hooks hooks = {s->ex, range_final, poll};
    int n = (int)s->share.count;
    double start = clock_now_s();
    network_prepare(s->net, exchange_weights(s->ex));
    double prepared = clock_now_s();
    const float *logits = network_forward(s->net, exchange_weights(s->ex), s->input, n);
    double forward = clock_now_s();
    loss_softmax_cross_entropy(logits, s->labels, n, 1.0f / (float)s->config->batch_size, s->dlogits);
    exchange_begin(s->ex);
    network_backward(s->net, exchange_weights(s->ex), s->dlogits, exchange_gradient(s->ex), &hooks);
    exchange_finish(s->ex);
    double finished = clock_now_s();
    moving_update(s->ex, s->config->threads);
    double end = clock_now_s();
    parts[STEP_PREPARE] = prepared - start;
    parts[STEP_FORWARD] = forward - prepared;
    parts[STEP_EXCHANGE] = exchange_exposed_s(s->ex);
    parts[STEP_BACKWARD] = finished - forward - parts[STEP_EXCHANGE];
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
            if (layer == 0 && pass == CONV_INPUT_GRADIENT) continue;
            measurement *m = &result->layers[layer][pass];
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
        result->network_bytes = network_memory_bytes(s.net);
        result->cost = exchange_cost(s.ex);
    }
    session_close(&s);
    return status;
}

/* Times of the whole step, of its parts, and of each layer and pass. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/exchange_update.h"
#include "bench/result.h"
#include "vgg11/base/random.h"

enum { MODEL_PIXELS = MODEL_SIDE * MODEL_SIDE, WARM_UP_STEPS = 2, SERIES = MODEL_LAYERS * CONV_PASSES + STEP_PARTS };

const char *const bench_pass_names[CONV_PASSES] = {"forward", "input grad", "weight grad"};
const char *const bench_step_names[STEP_PARTS] = {"prepare weights", "forward",           "backward",  "exchange, exposed",
                                                  "norm + update",   "exchange + update", "whole step"};

/* A training step on synthetic images, and its times. */
typedef struct {
    comm *c;
    const bench_config *config;
    training_step step;
    double *samples; /* [SERIES][repeats] */
} session;

/* Each micro-batch has the same images. */
static void fill_images(session *s)
{
    uint64_t seed = s->config->seed, stream = RANDOM_STREAM_SYNTHETIC + 2 * (uint64_t)comm_rank(s->c);
    size_t images = (size_t)s->step.capacity;
    random_fill_normal(seed, stream, 1.0f, network_input(s->step.net), images * MODEL_PIXELS);
    for (size_t i = 0; i < images; i++) s->step.labels[i] = (uint8_t)(MODEL_CLASSES * random_uniform(seed, stream + 1, i));
}

static vgg_status open_samples(session *s)
{
    s->samples = calloc((size_t)SERIES * s->config->repeats, sizeof *s->samples);
    return s->samples ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "--repeats %u: no memory for so many times", s->config->repeats);
}

static vgg_status session_open(session *s)
{
    training_step_config wanted = s->config->step;
    wanted.network.tune = wanted.exchange.tune = true;
    VGG_TRY(comm_agree(s->c, open_samples(s)));
    VGG_TRY(training_step_open(s->c, &wanted, &s->step));
    fill_images(s);
    exchange_update_start(s->c, s->step.ex, s->config->seed);
    network_prepare(s->step.net, exchange_weights(s->step.ex));
    return VGG_OK;
}

static void session_close(session *s)
{
    training_step_close(&s->step);
    free(s->samples);
}

/* Runs one training step; parts[] are the seconds of its parts on this rank. */
static void run_step(session *s, double parts[STEP_PARTS])
{
    training_step *step = &s->step;
    training_step_begin(step, s->config->step.batch_size);
    for (int i = 0; i < training_step_micro_batches(step); i++) training_step_forward_backward(step, i);
    training_step_allreduce(step);
    exchange_update_run(step);
    parts[STEP_PREPARE] = step->times.prepare_s;
    parts[STEP_FORWARD] = step->times.forward_s;
    parts[STEP_BACKWARD] = step->times.backward_s;
    parts[STEP_EXCHANGE] = step->times.exchange_s;
    parts[STEP_UPDATE] = step->times.update_s;
    parts[STEP_EXCHANGE_AND_UPDATE] = step->times.exchange_s + step->times.update_s;
    parts[STEP_WHOLE] = step->times.step_s;
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
    for (int i = 0; i < WARM_UP_STEPS; i++) run_step(s, parts);
    for (uint32_t repeat = 0; repeat < s->config->repeats; repeat++) {
        network_timing(s->step.net, true);
        comm_barrier(s->c);
        run_step(s, parts);
        for (int layer = 0; layer < MODEL_LAYERS; layer++) {
            for (int pass = 0; pass < CONV_PASSES; pass++)
                series_of_layer(s, layer, pass)[repeat] = network_seconds(s->step.net, layer, (conv_pass)pass);
        }
        for (int part = 0; part < STEP_PARTS; part++) series_of_part(s, part)[repeat] = parts[part];
    }
    network_timing(s->step.net, false);
}

/* Each time becomes the mean over ranks, so that times of parts add up, except that the whole step's becomes the slowest rank's. */
static void combine_ranks(session *s)
{
    uint32_t repeats = s->config->repeats;
    double *whole = series_of_part(s, STEP_WHOLE);
    for (uint32_t i = 0; i < repeats; i++) whole[i] = comm_max(s->c, whole[i]);
    size_t count = (size_t)(SERIES - 1) * repeats;
    comm_sum_in_rank_order(s->c, s->samples, count);
    for (size_t i = 0; i < count; i++) s->samples[i] /= comm_size(s->c);
}
_Static_assert(STEP_WHOLE == STEP_PARTS - 1, "combine_ranks() takes the whole step for the last series");

/* Adds the products of matrix tiles of one layer and pass in all micro-batches of this rank. */
static void count_tile_products(const session *s, int layer, conv_pass pass, bench_result *result)
{
    const conv_algorithm *row = conv_algorithm_find(network_algorithm(s->step.net, layer, pass));
    const conv_problem problem = bench_problem(layer);
    if (!row || !row->tile_products) return;
    for (int i = 0; i < training_step_micro_batches(&s->step); i++) {
        int images = (int)training_step_images(&s->step, i).count;
        result->tile_products += row->tile_products(&problem, pass, images);
        result->fewest_tile_products += op_count_of_layer(layer, pass, images, 1, s->config->step.network.precision).flops / 2 /
                                        CONV_TILE_MULTIPLY_ADDS;
    }
}

static void take_layers(const session *s, bench_result *result)
{
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            if (layer == 0 && pass == CONV_INPUT_GRAD) continue;
            measurement *m = &result->layers[layer][pass];
            result->in_update[layer] = factors_hold(s->step.f, layer);
            if (pass == CONV_WEIGHT_GRAD && result->in_update[layer]) continue;
            measurement_take(m, series_of_layer(s, layer, pass), s->config->repeats);
            snprintf(result->algorithms[layer][pass], sizeof result->algorithms[layer][pass], "%s",
                     network_algorithm(s->step.net, layer, (conv_pass)pass));
            count_tile_products(s, layer, (conv_pass)pass, result);
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
        snprintf(result->exchange, sizeof result->exchange, "%s", exchange_name(s.step.ex));
        snprintf(result->reason, sizeof result->reason, "%s", exchange_reason(s.step.ex));
        result->network_bytes = network_memory_bytes(s.step.net);
        result->cost = exchange_cost(s.step.ex);
    }
    session_close(&s);
    return status;
}

/* The work behind each measured time, and what the limits allow for it. */
#include "bench/result.h"

static void set_layer(const bench_config *config, bench_result *result, int layer, conv_pass pass)
{
    measurement *m = &result->layers[layer][pass];
    if (m->median_s <= 0) return;
    m->work = op_count_of_layer(layer, pass, config->step.batch_size, result->ranks, config->step.network.precision);
    m->limit_s = layer_limit_s(&result->limits, config->step.network.precision, m->work);
}

static void set_moving(const bench_result *result, const bool in_factors[MODEL_LAYERS], measurement *m)
{
    m->work = op_count_of_exchange_and_update(result->ranks, result->nodes, in_factors);
    m->limit_s = update_limit_s(&result->limits, m->work);
}

/* What runs one after the other: work and limits add up. */
static void add(measurement *sum, const measurement *piece)
{
    sum->work.flops += piece->work.flops;
    sum->work.bytes_read += piece->work.bytes_read;
    sum->work.bytes_written += piece->work.bytes_written;
    sum->limit_s += piece->limit_s;
}

static void add_factors(const bench_config *config, const bench_result *result, int layer, measurement *sum)
{
    measurement made = {.work = op_count_of_factors(layer, config->step.batch_size, result->ranks, config->step.network.precision)};
    made.limit_s = layer_limit_s(&result->limits, config->step.network.precision, made.work);
    add(sum, &made);
}

static void set_step(const bench_config *config, bench_result *result)
{
    measurement *step = result->step, *whole = &step[STEP_WHOLE];
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        add(&step[STEP_FORWARD], &result->layers[layer][CONV_FORWARD]);
        add(&step[STEP_BACKWARD], &result->layers[layer][CONV_INPUT_GRAD]);
        add(&step[STEP_BACKWARD], &result->layers[layer][CONV_WEIGHT_GRAD]);
    }
    set_moving(result, result->in_update, &step[STEP_MOVING]);
    for (int layer = 0; layer < MODEL_LAYERS; layer++)
        if (result->in_update[layer]) add_factors(config, result, layer, &step[STEP_MOVING]);
    add(whole, &step[STEP_FORWARD]);
    add(whole, &step[STEP_BACKWARD]);
    add(whole, &step[STEP_MOVING]);
}

void bench_set_limits(const bench_config *config, bench_result *result)
{
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) set_layer(config, result, layer, (conv_pass)pass);
    }
    set_step(config, result);
    const bool none[MODEL_LAYERS] = {false};
    for (int i = 0; i < result->strategy_count; i++) set_moving(result, none, &result->strategies[i].total);
}

/* The operations of each measured part, and its limit by the roofline model. */
#include "bench/result.h"

conv_problem bench_problem(int layer)
{
    const layer_row *row = &model_layers[layer];
    return (conv_problem){.kernel = row->kind == LAYER_CONV ? 3 : 1, .side = row->side, .in = row->in, .out = row->out};
}

/* Operations of the row for the whole batch at once: what tiles are not full for less is not seen. */
static double row_flops(const bench_config *config, const conv_algorithm *row, int layer, conv_pass pass, double direct)
{
    conv_problem problem = bench_problem(layer);
    int images = (int)config->step.batch_size;
    if (row->tile_products) return 2 * row->tile_products(&problem, pass, images) * CONV_TILE_MULTIPLY_ADDS;
    return row->multiply_adds ? 2 * row->multiply_adds(&problem, pass, images) : direct;
}

static void set_bound(const bench_config *config, const bench_result *result, int layer, conv_pass pass, measurement *m)
{
    const conv_algorithm *row = conv_algorithm_find(result->algorithms[layer][pass]);
    if (!row) return;
    op_count ops = m->ops;
    ops.flops = m->algorithm_flops = row_flops(config, row, layer, pass, m->ops.flops);
    m->bound_s = layer_limit_s(&result->peaks, row->precision, ops);
}

static void set_layer(const bench_config *config, bench_result *result, int layer, conv_pass pass)
{
    measurement *m = &result->layers[layer][pass];
    if (m->median_s <= 0) return;
    m->ops = op_count_of_layer(layer, pass, config->step.batch_size, result->ranks, config->step.network.precision);
    m->limit_s = layer_limit_s(&result->peaks, config->step.network.precision, m->ops);
    set_bound(config, result, layer, pass, m);
}

static void set_exchange_and_update(const bench_result *result, const bool in_factors[MODEL_LAYERS], measurement *m)
{
    m->ops = op_count_of_exchange_and_update(result->ranks, result->nodes, in_factors);
    m->limit_s = m->bound_s = update_limit_s(&result->peaks, m->ops);
}

/* Adds the operations and the limit of a part of a step. */
static void add(measurement *sum, const measurement *part)
{
    sum->ops.flops += part->ops.flops;
    sum->ops.bytes_read += part->ops.bytes_read;
    sum->ops.bytes_written += part->ops.bytes_written;
    sum->limit_s += part->limit_s;
    sum->algorithm_flops += part->algorithm_flops;
    sum->bound_s += part->bound_s;
}

static void add_factors(const bench_config *config, const bench_result *result, int layer, measurement *sum)
{
    measurement made = {.ops = op_count_of_factors(layer, config->step.batch_size, result->ranks, config->step.network.precision)};
    made.limit_s = made.bound_s = layer_limit_s(&result->peaks, config->step.network.precision, made.ops);
    made.algorithm_flops = made.ops.flops;
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
    set_exchange_and_update(result, result->in_update, &step[STEP_EXCHANGE_AND_UPDATE]);
    for (int layer = 0; layer < MODEL_LAYERS; layer++)
        if (result->in_update[layer]) add_factors(config, result, layer, &step[STEP_EXCHANGE_AND_UPDATE]);
    add(whole, &step[STEP_FORWARD]);
    add(whole, &step[STEP_BACKWARD]);
    add(whole, &step[STEP_EXCHANGE_AND_UPDATE]);
}

void bench_set_limits(const bench_config *config, bench_result *result)
{
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) set_layer(config, result, layer, (conv_pass)pass);
    }
    set_step(config, result);
    const bool none[MODEL_LAYERS] = {false};
    for (int i = 0; i < result->exchange_count; i++) set_exchange_and_update(result, none, &result->exchanges[i].total);
}

#include "bench/work.h"

#include <stdbool.h>

#include "vgg11/nn/model.h"

/* Pairs of an output pixel and a kernel position that meet an input pixel: along one axis each of `side` pixels has
 * three but for the two at the borders, which have one less. */
static double taps(const layer_row *row)
{
    double along = 3.0 * row->side - 2.0;
    return row->kind == LAYER_CONV ? along * along : 1.0;
}

static double map_elements(int side, int channels)
{
    return (double)side * side * channels;
}

static double output_elements(const layer_row *row)
{
    return map_elements(row->pool ? row->side / 2 : row->side, row->out);
}

work_amount work_of_layer(int layer, conv_pass pass, double images, int ranks, network_precision precision)
{
    const layer_row *row = &model_layers[layer];
    double element = precision == PRECISION_BF16 ? 2 : 4;
    double weights = ranks * (double)model_tensors()[2 * layer].count;
    double input = images * map_elements(row->side, row->in) * element;
    double output = images * output_elements(row) * element;
    work_amount work = {.flops = 2.0 * images * taps(row) * row->in * row->out};
    switch (pass) {
    case CONV_FORWARD:
        work.bytes_read = input + weights * element;
        work.bytes_written = output;
        break;
    case CONV_INPUT_GRADIENT:
        work.bytes_read = output + weights * element;
        work.bytes_written = input;
        break;
    default:
        work.bytes_read = input + output;
        work.bytes_written = weights * sizeof(float);
        break;
    }
    return work;
}

work_amount work_of_exchange_and_update(int ranks, int nodes, const bool in_factors[MODEL_LAYERS])
{
    double buffer = (double)model_flat_count() * sizeof(float), summed = buffer;
    for (int layer = 0; layer < MODEL_LAYERS; layer++)
        if (in_factors[layer]) summed -= (double)model_tensors()[2 * layer].count * sizeof(float);
    return (work_amount){.bytes_read = ranks * summed + 2.0 * nodes * buffer, .bytes_written = 2.0 * nodes * buffer};
}

work_amount work_of_factors(int layer, double images, int ranks, network_precision precision)
{
    work_amount work = work_of_layer(layer, CONV_WEIGHT_GRADIENT, images, ranks, precision);
    work.bytes_written = 0;
    return work;
}

double work_bytes(work_amount work)
{
    return work.bytes_read + work.bytes_written;
}

double work_peak_flops(const machine_limits *limits, network_precision precision)
{
    bool narrow = precision == PRECISION_BF16 && limits->bf16_flops > limits->fp32_flops;
    return narrow ? limits->bf16_flops : limits->fp32_flops;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

double work_layer_limit_s(const machine_limits *limits, network_precision precision, work_amount work)
{
    double traffic_s = larger(work.bytes_read / limits->read_bytes, work_bytes(work) / limits_bandwidth(limits));
    return larger(work.flops / work_peak_flops(limits, precision), traffic_s);
}

double work_update_limit_s(const machine_limits *limits, work_amount work)
{
    return work_bytes(work) / limits->update_bytes;
}

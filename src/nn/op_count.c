#include "vgg11/nn/op_count.h"

#include "vgg11/nn/model.h"

static double map_elements(int side, int channels) { return (double)side * side * channels; }

static double output_elements(const layer_row *row) { return map_elements(row->pool ? row->side / 2 : row->side, row->out); }

op_count op_count_of_layer(int layer, conv_pass pass, double images, int ranks, vgg_precision precision)
{
    const layer_row *row = &model_layers[layer];
    double element = precision == PRECISION_BF16 ? 2 : 4;
    double weights = ranks * (double)model_tensors()[2 * layer].count;
    double input = images * map_elements(row->side, row->in) * element;
    double output = images * output_elements(row) * element;
    op_count ops = {.flops = images * model_layer_flops(layer)};
    switch (pass) {
    case CONV_FORWARD:
        ops.bytes_read = input + weights * element;
        ops.bytes_written = output;
        break;
    case CONV_INPUT_GRAD:
        ops.bytes_read = output + weights * element;
        ops.bytes_written = input;
        break;
    default:
        ops.bytes_read = input + output;
        ops.bytes_written = weights * sizeof(float);
        break;
    }
    return ops;
}

op_count op_count_of_factors(int layer, double images, int ranks, vgg_precision precision)
{
    op_count ops = op_count_of_layer(layer, CONV_WEIGHT_GRAD, images, ranks, precision);
    ops.bytes_written = 0;
    return ops;
}

double op_count_bytes(op_count ops) { return ops.bytes_read + ops.bytes_written; }

#include "bench/op_counts.h"

#include <stdbool.h>

op_count op_count_of_exchange_and_update(int ranks, int nodes, const bool in_factors[MODEL_LAYERS])
{
    double buffer = (double)model_flat_count() * sizeof(float), summed = buffer;
    for (int layer = 0; layer < MODEL_LAYERS; layer++)
        if (in_factors[layer]) summed -= (double)model_tensors()[2 * layer].count * sizeof(float);
    return (op_count){.bytes_read = ranks * summed + 2.0 * nodes * buffer, .bytes_written = 2.0 * nodes * buffer};
}

double op_count_peak_flops(const machine_peaks *peaks, vgg_precision precision)
{
    bool is_bf16 = precision == PRECISION_BF16 && peaks->bf16_flops > peaks->fp32_flops;
    return is_bf16 ? peaks->bf16_flops : peaks->fp32_flops;
}

static double larger(double a, double b) { return a > b ? a : b; }

double layer_limit_s(const machine_peaks *peaks, vgg_precision precision, op_count ops)
{
    double traffic_s = larger(ops.bytes_read / peaks->read_bytes, op_count_bytes(ops) / machine_bandwidth(peaks));
    return larger(ops.flops / op_count_peak_flops(peaks, precision), traffic_s);
}

double update_limit_s(const machine_peaks *peaks, op_count ops) { return op_count_bytes(ops) / peaks->update_bytes; }

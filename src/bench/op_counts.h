/* The least operations and memory traffic of the parts of a step, and the least time that they take on a machine of given peaks
 * (the roofline model: Williams et al., "Roofline: an insightful visual performance model", CACM 2009). */
#ifndef VGG11_BENCH_OP_COUNTS_H
#define VGG11_BENCH_OP_COUNTS_H

#include "bench/machine_peaks.h"
#include "vgg11/conv/conv.h"
#include "vgg11/nn/model.h"

/* Operations and bytes of all ranks together. */
typedef struct {
    double flops;
    double bytes_read;
    double bytes_written;
} op_count;

/* One layer in one pass for `images` images on `ranks` ranks. Operations: those of model_layer_flops(). An algorithm
 * that needs fewer products (Winograd) can exceed 100 % of the limit. Traffic: each operand is read from or written to memory once: activations after pooling
 * (2 bytes each in bf16), the weights once for each rank (2 bytes in bf16), weight gradients (4 bytes). A layer whose operands stay
 * in a cache can exceed 100 % of the limit. */
op_count op_count_of_layer(int layer, conv_pass pass, double images, int ranks, vgg_precision precision);

/* The sum of the gradients of all ranks and one update on each node: each rank's gradient is read once, except for kernels in
 * factors, and on each node weights and velocity are read and written once. The network between nodes does not count. */
op_count op_count_of_exchange_and_update(int ranks, int nodes, const bool in_factors[MODEL_LAYERS]);

/* The weight gradient of a layer in factors, which is computed from its maps and never written. */
op_count op_count_of_factors(int layer, double images, int ranks, vgg_precision precision);

/* Bytes read and written. */
double op_count_bytes(op_count ops);

/* Seconds of a layer at least: those of its operations or of its traffic, whichever is more. Traffic takes the time of the bytes
 * read at the rate of reading, or that of all bytes at the best of the measured rates, whichever is more. */
double layer_limit_s(const machine_peaks *peaks, vgg_precision precision, op_count ops);

/* Seconds of exchange and update at least: those of the traffic at the rate of the update's five streams. */
double update_limit_s(const machine_peaks *peaks, op_count ops);

/* Peak operations per second in this precision, for which bf16 runs use fp32 instructions where those are faster. */
double op_count_peak_flops(const machine_peaks *peaks, vgg_precision precision);

#endif

/* The least operations and memory traffic of exchange and update, and the least time that the parts of a step take on a machine of given
 * peaks (the roofline model: Williams et al., "Roofline: an insightful visual performance model", CACM 2009). */
#ifndef VGG11_BENCH_OP_COUNTS_H
#define VGG11_BENCH_OP_COUNTS_H

#include "bench/machine_peaks.h"
#include "vgg11/nn/model.h"
#include "vgg11/nn/op_count.h"

/* The sum of the gradients of all ranks and one update on each node: each rank's gradient is read once, except for kernels in
 * factors, and on each node weights and velocity are read and written once. The network between nodes does not count. */
op_count op_count_of_exchange_and_update(int ranks, int nodes, const bool in_factors[MODEL_LAYERS]);

/* Seconds of a layer at least: those of its operations or of its traffic, whichever is more. Traffic takes the time of the bytes
 * read at the rate of reading, or that of all bytes at the best of the measured rates, whichever is more. */
double layer_limit_s(const machine_peaks *peaks, vgg_precision precision, op_count ops);

/* Seconds of exchange and update at least: those of the traffic at the rate of the update's five streams. */
double update_limit_s(const machine_peaks *peaks, op_count ops);

/* Peak operations per second in this precision, for which bf16 runs use fp32 instructions where those are faster. */
double op_count_peak_flops(const machine_peaks *peaks, vgg_precision precision);

#endif

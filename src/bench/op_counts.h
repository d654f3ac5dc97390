/* How much work the parts of a step are at least, and the least time that a machine's limits allow for it (the
 * roofline: Williams et al., "Roofline: an insightful visual performance model", CACM 2009). */
#ifndef VGG11_BENCH_OP_COUNTS_H
#define VGG11_BENCH_OP_COUNTS_H

#include "bench/machine_peaks.h"
#include "vgg11/conv/conv.h"
#include "vgg11/nn/model.h"

/* Of all ranks together. */
typedef struct {
    double flops;
    double bytes_read;
    double bytes_written;
} op_count;

/* One layer in one pass for `images` images on `ranks` ranks.
 * Arithmetic: the products of the direct convolution that meet a pixel, two operations each; those with the zero
 * padding do not count, and neither do bias and ReLU. An algorithm that needs fewer products (Winograd) can pass 100 %.
 * Traffic: each operand from or to memory once: activations after pooling (2 bytes each in bf16), the weights once a
 * rank (2 bytes in bf16), weight gradients (4 bytes). What stays in a cache between layers can pass 100 %. */
op_count op_count_of_layer(int layer, conv_pass pass, double images, int ranks, vgg_precision precision);

/* Sum of the gradients of all ranks and one update on each node: each rank's gradient read once, but for kernels in factors, and on
 * each node weights and velocity read and written once. The network between nodes does not count. */
op_count op_count_of_exchange_and_update(int ranks, int nodes, const bool in_factors[MODEL_LAYERS]);

/* The products of a weight gradient in factors, whose maps are read and which is never written. */
op_count op_count_of_factors(int layer, double images, int ranks, vgg_precision precision);

double op_count_bytes(op_count work);

/* Arithmetic or traffic, whichever takes longer. Traffic: bytes read at the reading rate, or all bytes at the best of
 * the measured rates, whichever takes longer. */
double layer_limit_s(const machine_peaks *limits, vgg_precision precision, op_count work);

/* Traffic at the rate of the update's five streams. */
double update_limit_s(const machine_peaks *limits, op_count work);

/* Operations a second at most in this precision; fp32's where the processor has no bf16 instructions. */
double op_count_peak_flops(const machine_peaks *limits, vgg_precision precision);

#endif

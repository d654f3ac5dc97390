/* The least operations and memory traffic of a layer. */
#ifndef VGG11_NN_OP_COUNT_H
#define VGG11_NN_OP_COUNT_H

#include "vgg11/conv/conv.h"

/* Operations and bytes of all ranks together. */
typedef struct {
    double flops;
    double bytes_read;
    double bytes_written;
} op_count;

/* One layer in one pass for `images` images on `ranks` ranks. Operations: those of model_layer_flops(). An algorithm that needs fewer
 * products (Winograd) can exceed 100 % of the limit. Traffic: each operand is read from or written to memory once: activations after
 * pooling (2 bytes each in bf16), the weights once for each rank (2 bytes in bf16), weight gradients (4 bytes). A layer whose operands
 * stay in a cache can exceed 100 % of the limit. */
op_count op_count_of_layer(int layer, conv_pass pass, double images, int ranks, vgg_precision precision);

/* The weight gradient of a layer in factors, which is computed from its maps and never written. */
op_count op_count_of_factors(int layer, double images, int ranks, vgg_precision precision);

/* Bytes read and written. */
double op_count_bytes(op_count ops);

#endif

/* The network's members, for network.c and forward_backward.c. */
#ifndef VGG11_NN_NETWORK_IMPL_H
#define VGG11_NN_NETWORK_IMPL_H

#include "vgg11/base/memory.h"
#include "vgg11/nn/model.h"
#include "vgg11/nn/network.h"

typedef struct {
    const layer_row *row;
    const tensor_view *kernel;
    const tensor_view *bias;
    size_t flat_end;      /* end of this layer's range of the flat buffer, padding included */
    void *output;         /* [n][...]: after ReLU and pooling, the input of the next layer; bf16 in that precision, else fp32 */
    uint8_t *pool_argmax; /* [n][...]: which pixels the pooling took, for backward; NULL without pooling */
    double seconds[CONV_PASSES]; /* spent in each pass since network_timing() */
} network_layer;

struct network {
    network_config config;
    network_layer layers[MODEL_LAYERS];
    conv_layer problems[MODEL_LAYERS];
    conv_choice choices[MODEL_LAYERS][CONV_PASSES];
    vgg_arena arena;
    float *input;      /* [capacity][32][32][1]: filled by the caller, read by conv1 in both directions */
    void *gradient[2]; /* gradients with respect to the inputs of even and of odd layers, of the maps' type */
    void *workspace;   /* as large as the largest plan's */
    int n;             /* samples of the last forward */
    bool timing;
    span_log *spans; /* NULL: no trace */
};

/* Numbers in one image's output of a layer, after pooling. */
static inline size_t output_count(const layer_row *row) { return (size_t)row->side * row->side * row->out / (row->pool ? 4 : 1); }

#endif

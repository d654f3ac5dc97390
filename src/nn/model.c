#include "vgg11/nn/model.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "vgg11/base/memory.h"

/* Simonyan & Zisserman, arXiv:1409.1556, Table 1, configuration A; the last row is this program's own. */
const layer_row model_layers[MODEL_LAYERS] = {
    /* name, kind, side, in, out, relu, pool */
    {"conv1", LAYER_CONV, 32, 1, 64, true, true},     {"conv2", LAYER_CONV, 16, 64, 128, true, true},
    {"conv3", LAYER_CONV, 8, 128, 256, true, false},  {"conv4", LAYER_CONV, 8, 256, 256, true, true},
    {"conv5", LAYER_CONV, 4, 256, 512, true, false},  {"conv6", LAYER_CONV, 4, 512, 512, true, true},
    {"conv7", LAYER_CONV, 2, 512, 512, true, false},  {"conv8", LAYER_CONV, 2, 512, 512, true, true},
    {"fc1", LAYER_DENSE, 1, 512, 4096, true, false},  {"fc2", LAYER_DENSE, 1, 4096, 4096, true, false},
    {"fc3", LAYER_DENSE, 1, 4096, 1000, true, false}, {"fc4", LAYER_DENSE, 1, 1000, MODEL_CLASSES, false, false},
};

enum { TENSOR_UNIT = 16 }; /* floats: tensors start on cache lines */

static tensor_view tensors[MODEL_TENSORS];
static size_t flat_count;
static pthread_once_t tensors_once = PTHREAD_ONCE_INIT;

static void place(tensor_view *tensor, const layer_row *layer, const char *part)
{
    snprintf(tensor->name, sizeof tensor->name, "%s.%s", layer->name, part);
    tensor->count = 1;
    for (int i = 0; i < tensor->rank; i++) tensor->count *= tensor->shape[i];
    tensor->offset = flat_count;
    flat_count = vgg_round_up(flat_count + tensor->count, TENSOR_UNIT);
}

static void describe_kernel(tensor_view *tensor, const layer_row *layer)
{
    size_t in = (size_t)layer->in, out = (size_t)layer->out;
    int area = layer->kind == LAYER_CONV ? 9 : 1;
    size_t conv_shape[4] = {3, 3, in, out}, dense_shape[4] = {in, out, 0, 0};
    tensor->rank = layer->kind == LAYER_CONV ? 4 : 2;
    memcpy(tensor->shape, layer->kind == LAYER_CONV ? conv_shape : dense_shape, sizeof tensor->shape);
    tensor->fan_in = area * layer->in;
    tensor->fan_out = area * layer->out;
    tensor->kernel = true;
}

static void build_tensors(void)
{
    for (int i = 0; i < MODEL_LAYERS; i++) {
        tensor_view *kernel = &tensors[2 * i], *bias = &tensors[2 * i + 1];
        describe_kernel(kernel, &model_layers[i]);
        place(kernel, &model_layers[i], "kernel");
        bias->rank = 1;
        bias->shape[0] = (size_t)model_layers[i].out;
        bias->fan_in = kernel->fan_in;
        bias->fan_out = kernel->fan_out;
        place(bias, &model_layers[i], "bias");
    }
}

/* Along one axis, each of `side` pixels has three taps whose input lies inside the map, except the two at the borders, which have one
 * less. */
double model_layer_flops(int layer)
{
    const layer_row *row = &model_layers[layer];
    double along = row->kind == LAYER_CONV ? 3.0 * row->side - 2.0 : 1.0;
    return 2.0 * along * along * row->in * row->out;
}

const tensor_view *model_tensors(void)
{
    pthread_once(&tensors_once, build_tensors);
    return tensors;
}

size_t model_flat_count(void)
{
    model_tensors();
    return flat_count;
}

#include "vgg11/nn/initialize.h"

#include <math.h>
#include <string.h>

#include "vgg11/base/random.h"
#include "vgg11/base/table.h"
#include "vgg11/nn/model.h"

static void fill_he(uint64_t seed, float *weights)
{
    const tensor_view *tensors = model_tensors();
    memset(weights, 0, model_flat_count() * sizeof *weights);
    for (uint64_t t = 0; t < MODEL_TENSORS; t++) {
        if (!tensors[t].kernel) continue;
        float deviation = (float)sqrt(2.0 / tensors[t].fan_in);
        random_fill_normal(seed, RANDOM_STREAM_INIT + t, deviation, weights + tensors[t].offset, tensors[t].count);
    }
}

/* The gradient of the zero layer itself is not zero, so it learns in the first step, and those before it in the second. */
static void zero_last(float *weights)
{
    const tensor_view *last = &model_tensors()[2 * (MODEL_LAYERS - 1)];
    memset(weights + last->offset, 0, last->count * sizeof *weights);
}

static void fill_he_zero_last(uint64_t seed, float *weights)
{
    fill_he(seed, weights);
    zero_last(weights);
}

/* The second half of the inputs has the weights of the first half, negated, and so has the second half of the outputs: of a pair of
 * units one passes on z where it is positive and the other -z where that is, and the next layer, which subtracts the second from
 * the first, sees z as it was. As many of He's weights as there are pairs are used, with half of the fan-in each, and the signal
 * that counts has twice the variance of what one ReLU passes on: its size stays. */
static void mirror(const tensor_view *kernel, float *weights, bool inputs, bool outputs)
{
    const size_t in = kernel->shape[kernel->rank - 2], out = kernel->shape[kernel->rank - 1], taps = kernel->count / (in * out);
    for (size_t row = 0; row < taps * in; row++) {
        float *to = weights + row * out;
        const bool second = inputs && row % in >= in / 2;
        for (size_t o = 0; o < out && second; o++) to[o] = -to[o - in / 2 * out];
        for (size_t o = out / 2; o < out && outputs && !second; o++) to[o] = -to[o - out / 2];
    }
}

static void fill_looks_linear(uint64_t seed, float *weights)
{
    fill_he(seed, weights);
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        const tensor_view *kernel = &model_tensors()[2 * layer];
        mirror(kernel, weights + kernel->offset, layer > 0, layer < MODEL_LAYERS - 1);
    }
}

static void scale(float *values, size_t count, double factor)
{
    for (size_t i = 0; i < count; i++) values[i] *= (float)factor;
}

/* A network of ReLUs without biases computes the same where one layer's weights are divided by what another's are multiplied with. A
 * step of a given length then turns the smaller weights further: those of the layers between the first and the last, of which all
 * but the second are as linear as in looks-linear. The first layer has what they lack, and hardly moves: its maps are random
 * features of the images. */
static void fill_small(uint64_t seed, float *weights)
{
    const int last = MODEL_LAYERS - 1;
    fill_he(seed, weights);
    for (int layer = 1; layer < last; layer++) {
        const tensor_view *kernel = &model_tensors()[2 * layer];
        mirror(kernel, weights + kernel->offset, layer > 1, true);
        scale(weights + kernel->offset, kernel->count, INITIALIZER_SMALL);
    }
    const tensor_view *first = &model_tensors()[0];
    scale(weights + first->offset, first->count, INITIALIZER_FEATURES / pow(INITIALIZER_SMALL, last - 1));
    zero_last(weights);
}

static void fill_glorot(uint64_t seed, float *weights)
{
    const tensor_view *tensors = model_tensors();
    memset(weights, 0, model_flat_count() * sizeof *weights);
    for (uint64_t t = 0; t < MODEL_TENSORS; t++) {
        if (!tensors[t].kernel) continue;
        float limit = (float)sqrt(6.0 / (tensors[t].fan_in + tensors[t].fan_out));
        random_fill_uniform(seed, RANDOM_STREAM_INIT + t, limit, weights + tensors[t].offset, tensors[t].count);
    }
}

const initializer initializers[] = {
    {"he", "ReLU networks of this depth: the signal keeps its size from layer to layer", fill_he},
    {"he-zero-last", "the same with zeros in the last layer: the loss begins at ln 10, and no step is spent on unlearning",
     fill_he_zero_last},
    {"looks-linear",
     "few steps: He's weights in mirrored pairs of units, so that the network begins as if it had no ReLUs, and tells images "
     "apart as well in the last layer as in the first",
     fill_looks_linear},
    {"looks-linear-small",
     "rates that are low, such as 0.001: the same in small weights, which a step of a given length turns further", fill_small},
    {"glorot", "comparison with Keras' default; halves the signal's variance at each ReLU", fill_glorot},
    {NULL, NULL, NULL},
};

const initializer *initializer_find(const char *name) { return table_find(initializers, sizeof *initializers, name); }

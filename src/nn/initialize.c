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
static void fill_he_zero_last(uint64_t seed, float *weights)
{
    const tensor_view *last = &model_tensors()[2 * (MODEL_LAYERS - 1)];
    fill_he(seed, weights);
    memset(weights + last->offset, 0, last->count * sizeof *weights);
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
    {"glorot", "comparison with Keras' default; halves the signal's variance at each ReLU", fill_glorot},
    {NULL, NULL, NULL},
};

const initializer *initializer_find(const char *name) { return table_find(initializers, sizeof *initializers, name); }

#include "vgg11/nn/initialize.h"

#include <math.h>
#include <string.h>

#include "vgg11/base/random.h"
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
    {"glorot", "comparison with Keras' default; halves the signal's variance at each ReLU", fill_glorot},
    {NULL, NULL, NULL},
};

const initializer *initializer_find(const char *name)
{
    for (const initializer *row = initializers; row->name; row++) {
        if (strcmp(row->name, name) == 0) return row;
    }
    return NULL;
}

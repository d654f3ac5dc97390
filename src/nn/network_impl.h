/* The network's insides, shared by network*.c. */
#ifndef VGG11_NN_NETWORK_IMPL_H
#define VGG11_NN_NETWORK_IMPL_H

#include "vgg11/base/memory.h"
#include "vgg11/conv/conv.h"
#include "vgg11/nn/model.h"
#include "vgg11/nn/network.h"

/* One layer's product in one pass. Without an algorithm it does not exist: conv1's input gradient, backward in inference. */
typedef struct {
    conv_plan plan;
    char declined[512]; /* "winograd: reason; ..." */
    double seconds;     /* spent in it since network_timing() */
} network_slot;

typedef struct {
    const layer_row *row;
    const tensor_view *kernel;
    const tensor_view *bias;
    size_t flat_end;    /* of this layer's range of the flat buffer, padding included */
    network_slot slots[CONV_PASSES];
    void *output;       /* [n][...]: after ReLU and pooling, what the next layer reads: fp32, or bf16 in that precision */
    uint8_t *pool_argmax;    /* [n][...]: which pixels the pooling took, for backward; else NULL */
} network_layer;

struct network {
    network_config config;
    char conv[64];             /* config.conv's own copy; "auto" */
    network_layer layers[MODEL_LAYERS];
    bool precision_available;  /* some row computes in config.precision for some layer */
    vgg_arena arena;
    float *input;       /* aligned copy of the last forward's input, for conv1 in both directions */
    void *gradient[2];  /* with respect to a layer's input, likewise, in turns */
    void *workspace;    /* of the largest plan */
    int n;              /* samples in the last forward */
    bool timing;
};

enum { NETWORK_NAME_MAX = 64 };

extern const char *const network_pass_names[CONV_PASSES];

/* The largest that a rank gave, on all: one call to the caller's agreement. And whether one rank says so. */
double network_agreed(const network_config *config, double value);
bool network_any(const network_config *config, bool mine);

/* Floats per image of a layer's output before and after pooling. */
size_t network_map_count(const layer_row *row);
size_t network_output_count(const layer_row *row);

/* Whether the walk has this product. */
bool network_needs(const network *net, int layer, int pass);

/* The problem that a slot's plan solves. */
conv_problem network_problem(const network *net, int layer);

/* Opens a plan in each slot that the walk needs, by config.plan, by name, from the cache, by timing, or the first that accepts. */
vgg_status network_choose(network *net);

/* Fills choices[layer][pass] and seconds from the cache file; false if any that is needed is missing. */
typedef struct {
    const conv_algorithm *algorithm[MODEL_LAYERS][CONV_PASSES];
    double seconds[MODEL_LAYERS][CONV_PASSES];
} network_choices;
bool network_cache_load(const network *net, network_choices *choices);

/* Fills choices[layer][pass] from a line as network_algorithms() writes it, with seconds of 0; false if it is anything else. */
bool network_plan_read(const network *net, const char *text, network_choices *choices);

/* Writes this network's choices into the cache file, beside those of other machines and settings. A file that cannot be
 * written is left as it is: the cache saves time, no more. */
void network_cache_store(const network *net);

#endif

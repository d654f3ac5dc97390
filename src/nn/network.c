/* Creating and destroying a network. */
#include "vgg11/nn/network.h"

#include <stdio.h>
#include <stdlib.h>

#include "nn/network_impl.h"
#include "vgg11/base/finite.h"
#include "vgg11/base/hash.h"
#include "vgg11/base/integers.h"

static size_t input_count(const layer_row *row) { return (size_t)row->side * row->side * row->in; }

static conv_problem problem_of(const network_config *config, int layer)
{
    const layer_row *row = &model_layers[layer];
    bool bf16 = config->precision == PRECISION_BF16;
    return (conv_problem){.kernel = row->kind == LAYER_CONV ? 3 : 1,
                          .side = row->side,
                          .in = row->in,
                          .out = row->out,
                          .batch = config->batch_capacity,
                          .threads = config->threads,
                          .relu = row->relu,
                          .pool = row->pool,
                          .input_is_relu = layer > 0 && model_layers[layer - 1].relu,
                          .precision = config->precision,
                          .bf16_x = bf16 && layer > 0,
                          .bf16_y = bf16 && layer < MODEL_LAYERS - 1};
}

/* The gradient with respect to the images is not needed. */
static void describe_layers(network *net)
{
    const tensor_view *tensors = model_tensors();
    bool training = net->config.training;
    for (int i = 0; i < MODEL_LAYERS; i++) {
        network_layer *layer = &net->layers[i];
        layer->row = &model_layers[i];
        layer->kernel = &tensors[2 * i];
        layer->bias = &tensors[2 * i + 1];
        layer->flat_end = i + 1 < MODEL_LAYERS ? tensors[2 * i + 2].offset : model_flat_count();
        net->problems[i] = (conv_layer){
            .name = layer->row->name,
            .problem = problem_of(&net->config, i),
            .needed = {[CONV_FORWARD] = true, [CONV_INPUT_GRAD] = training && i > 0, [CONV_WEIGHT_GRAD] = training}};
    }
}

static vgg_status choose_algorithms(network *net)
{
    const network_config *config = &net->config;
    conv_autotune_config wanted = {.precision = config->precision,
                                   .algorithm = config->conv,
                                   .recorded = config->plan,
                                   .tune = config->tune,
                                   .cache = config->plan_cache,
                                   .retune = config->retune,
                                   .spread_limit = config->spread_limit,
                                   .node_ranks = config->node_ranks,
                                   .agreement = config->agreement};
    return conv_autotune(&wanted, net->problems, MODEL_LAYERS, net->choices);
}

/* Reserves memory in the arena and returns NULL (measure), or takes it: the same calls in the same order do both. */
static void *arena_part(network *net, bool measure, size_t bytes)
{
    if (!measure) return arena_take(&net->arena, bytes);
    arena_reserve(&net->arena, bytes);
    return NULL;
}

static size_t workspace_bytes(const network *net)
{
    size_t bytes = 0;
    for (int i = 0; i < MODEL_LAYERS; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) bytes = size_max(bytes, net->choices[i][pass].plan.workspace_bytes);
    }
    return bytes;
}

/* Bytes of one number of a layer's output. */
static size_t bytes_of(const network *net, int layer)
{
    return net->problems[layer].problem.bf16_y ? sizeof(uint16_t) : sizeof(float);
}

/* Training keeps the outputs of all layers; forward alone needs one layer's input and output at a time. */
static void cut_outputs(network *net, bool measure, size_t batch)
{
    size_t most = 0;
    for (int i = 0; i < MODEL_LAYERS; i++) most = size_max(most, output_count(&model_layers[i]));
    for (int i = 0; i < MODEL_LAYERS; i++) {
        network_layer *layer = &net->layers[i];
        size_t count = batch * output_count(layer->row);
        if (net->config.training) {
            layer->output = arena_part(net, measure, count * bytes_of(net, i));
            if (layer->row->pool) layer->pool_argmax = arena_part(net, measure, count);
        } else {
            layer->output = i < 2 ? arena_part(net, measure, batch * most * sizeof(float)) : net->layers[i - 2].output;
        }
    }
}

static void cut_arena(network *net, bool measure)
{
    size_t batch = (size_t)net->config.batch_capacity, input = 0;
    for (int i = 0; i < MODEL_LAYERS; i++) {
        const layer_row *row = &model_layers[i];
        if (i > 0) input = size_max(input, input_count(row));
    }
    cut_outputs(net, measure, batch);
    net->workspace = arena_part(net, measure, workspace_bytes(net));
    net->input = arena_part(net, measure, batch * input_count(&model_layers[0]) * sizeof(float));
    if (!net->config.training) return;
    for (int i = 0; i < 2; i++) net->gradient[i] = arena_part(net, measure, batch * input * bytes_of(net, 0));
}

static vgg_status build(network *net)
{
    describe_layers(net);
    VGG_TRY(choose_algorithms(net));
    cut_arena(net, true);
    VGG_TRY(arena_open(&net->arena));
    cut_arena(net, false);
    return VGG_OK;
}

vgg_status network_create(const network_config *config, network **out)
{
    network *net = calloc(1, sizeof *net);
    *out = NULL;
    if (conv_any(&config->agreement, !net)) {
        free(net);
        return vgg_fail(VGG_UNAVAILABLE, "no memory for the network's description");
    }
    net->config = *config;
    if (net->config.batch_capacity < 1) net->config.batch_capacity = 1;
    vgg_status status = build(net);
    if (status == VGG_OK)
        *out = net;
    else
        network_destroy(net);
    return status;
}

void network_destroy(network *net)
{
    if (!net) return;
    conv_choices_close(net->choices, MODEL_LAYERS);
    arena_close(&net->arena);
    free(net);
}

const char *network_algorithm(const network *net, int layer, conv_pass pass)
{
    const conv_algorithm *algorithm = net->choices[layer][pass].plan.algorithm;
    return algorithm ? algorithm->name : "none";
}

void network_algorithms(const network *net, char text[CONV_CHOICES_TEXT_MAX])
{
    conv_choices_print(net->problems, MODEL_LAYERS, net->choices, text);
}

size_t network_memory_bytes(const network *net)
{
    size_t bytes = sizeof *net + net->arena.size_bytes;
    for (int i = 0; i < MODEL_LAYERS; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) bytes += net->choices[i][pass].plan.packed_bytes;
    }
    return bytes;
}

void network_timing(network *net, bool enable)
{
    net->timing = enable;
    for (int i = 0; i < MODEL_LAYERS; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) net->layers[i].seconds[pass] = 0;
    }
}

void network_trace(network *net, span_log *log) { net->spans = log; }

double network_seconds(const network *net, int layer, conv_pass pass) { return net->layers[layer].seconds[pass]; }

float *network_input(network *net) { return net->input; }

int network_first_not_finite(const network *net)
{
    for (int i = 0; i < MODEL_LAYERS; i++) {
        const network_layer *layer = &net->layers[i];
        size_t count = (size_t)net->n * output_count(layer->row);
        bool bf16_y = net->problems[i].problem.bf16_y;
        if (!(bf16_y ? finite_bf16(layer->output, count) : finite_floats(layer->output, count))) return i;
    }
    return MODEL_LAYERS;
}

uint64_t network_output_hash(const network *net, int layer)
{
    return hash_bits(net->layers[layer].output, (size_t)net->n * output_count(&model_layers[layer]) * bytes_of(net, layer));
}

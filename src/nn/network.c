/* Making and unmaking the network, and what it says of itself. */
#include "vgg11/nn/network.h"

#include <stdio.h>
#include <stdlib.h>

#include "nn/network_impl.h"

const char *const network_pass_names[CONV_PASSES] = {"forward", "input gradient", "weight gradient"};

size_t network_map_count(const layer_row *row) { return (size_t)row->side * row->side * row->out; }

size_t network_output_count(const layer_row *row) { return network_map_count(row) / (row->pool ? 4 : 1); }

static size_t input_count(const layer_row *row) { return (size_t)row->side * row->side * row->in; }

bool network_needs(const network *net, int layer, int pass)
{
    if (pass == CONV_FORWARD) return true;
    return net->config.training && !(layer == 0 && pass == CONV_INPUT_GRAD);
}

conv_problem network_problem(const network *net, int layer)
{
    const layer_row *row = &model_layers[layer];
    return (conv_problem){.kernel = row->kind == LAYER_CONV ? 3 : 1,
                          .side = row->side,
                          .in = row->in,
                          .out = row->out,
                          .batch = net->config.batch_capacity,
                          .threads = net->config.threads,
                          .relu = row->relu,
                          .pool = row->pool,
                          .input_is_relu = layer > 0 && model_layers[layer - 1].relu,
                          .precision = net->config.precision,
                          .bf16_x = layer > 0 && net->config.precision == PRECISION_BF16,
                          .bf16_y = layer < MODEL_LAYERS - 1 && net->config.precision == PRECISION_BF16};
}

static void describe_layers(network *net)
{
    const tensor_view *tensors = model_tensors();
    for (int i = 0; i < MODEL_LAYERS; i++) {
        network_layer *layer = &net->layers[i];
        layer->row = &model_layers[i];
        layer->kernel = &tensors[2 * i];
        layer->bias = &tensors[2 * i + 1];
        layer->flat_end = i + 1 < MODEL_LAYERS ? tensors[2 * i + 2].offset : model_flat_count();
    }
}

/* While measuring, reserves; afterwards takes the same pieces in the same order. */
static void *piece(network *net, bool measure, size_t bytes)
{
    if (!measure) return arena_take(&net->arena, bytes);
    arena_reserve(&net->arena, bytes);
    return NULL;
}

static size_t largest(size_t a, size_t b) { return a > b ? a : b; }

static size_t workspace_bytes(const network *net)
{
    size_t bytes = 0;
    for (int i = 0; i < MODEL_LAYERS; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++)
            bytes = largest(bytes, net->layers[i].slots[pass].plan.workspace_bytes);
    }
    return bytes;
}

/* A number of a layer's output. */
static size_t bytes_of(const network *net, int layer)
{
    return network_problem(net, layer).bf16_y ? sizeof(uint16_t) : sizeof(float);
}

/* Forward alone needs a layer's input and output at a time; training keeps all outputs. */
static void cut_outputs(network *net, bool measure, size_t batch)
{
    size_t most = 0;
    for (int i = 0; i < MODEL_LAYERS; i++) most = largest(most, network_output_count(&model_layers[i]));
    for (int i = 0; i < MODEL_LAYERS; i++) {
        network_layer *layer = &net->layers[i];
        size_t count = batch * network_output_count(layer->row);
        if (net->config.training) {
            layer->output = piece(net, measure, count * bytes_of(net, i));
            if (layer->row->pool) layer->pool_argmax = piece(net, measure, count);
        } else {
            layer->output = i < 2 ? piece(net, measure, batch * most * sizeof(float)) : net->layers[i - 2].output;
        }
    }
}

static void cut_arena(network *net, bool measure)
{
    size_t batch = (size_t)net->config.batch_capacity, input = 0;
    for (int i = 0; i < MODEL_LAYERS; i++) {
        const layer_row *row = &model_layers[i];
        if (i > 0) input = largest(input, input_count(row));
    }
    cut_outputs(net, measure, batch);
    net->workspace = piece(net, measure, workspace_bytes(net));
    net->input = piece(net, measure, batch * input_count(&model_layers[0]) * sizeof(float));
    if (!net->config.training) return;
    for (int i = 0; i < 2; i++) net->gradient[i] = piece(net, measure, batch * input * bytes_of(net, 0));
}

static vgg_status build(network *net)
{
    describe_layers(net);
    VGG_TRY(network_choose(net));
    cut_arena(net, true);
    VGG_TRY(arena_open(&net->arena));
    cut_arena(net, false);
    return VGG_OK;
}

double network_agreed(const network_config *config, double value)
{
    const network_agreement *agreement = &config->agreement;
    return agreement->agree ? agreement->agree(agreement->context, value) : value;
}

bool network_any(const network_config *config, bool mine) { return network_agreed(config, mine ? 1 : 0) > 0; }

vgg_status network_create(const network_config *config, network **out)
{
    network *net = calloc(1, sizeof *net);
    *out = NULL;
    if (network_any(config, !net)) {
        free(net);
        return vgg_fail(VGG_UNAVAILABLE, "no memory for the network's description");
    }
    net->config = *config;
    if (net->config.batch_capacity < 1) net->config.batch_capacity = 1;
    snprintf(net->conv, sizeof net->conv, "%s", config->conv ? config->conv : "auto");
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
    for (int i = 0; i < MODEL_LAYERS; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) conv_plan_close(&net->layers[i].slots[pass].plan);
    }
    arena_close(&net->arena);
    free(net);
}

void network_describe(const network *net, void (*line)(void *context, const char *text), void *context)
{
    for (int i = 0; i < MODEL_LAYERS; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            const network_slot *slot = &net->layers[i].slots[pass];
            char text[768];
            if (!slot->plan.algorithm) continue;
            int used = snprintf(text, sizeof text, "%-5s %-15s %-12s", net->layers[i].row->name, network_pass_names[pass],
                                slot->plan.algorithm->name);
            if (slot->plan.seconds > 0)
                used += snprintf(text + used, sizeof text - (size_t)used, " %8.3f ms", 1e3 * slot->plan.seconds);
            if (slot->declined[0]) snprintf(text + used, sizeof text - (size_t)used, " (declined: %s)", slot->declined);
            line(context, text);
        }
    }
}

const char *network_algorithm(const network *net, int layer, int pass)
{
    const conv_algorithm *algorithm = net->layers[layer].slots[pass].plan.algorithm;
    return algorithm ? algorithm->name : "none";
}

size_t network_memory_bytes(const network *net)
{
    size_t bytes = sizeof *net + net->arena.size_bytes;
    for (int i = 0; i < MODEL_LAYERS; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) bytes += net->layers[i].slots[pass].plan.packed_bytes;
    }
    return bytes;
}

void network_timing(network *net, bool enable)
{
    net->timing = enable;
    for (int i = 0; i < MODEL_LAYERS; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) net->layers[i].slots[pass].seconds = 0;
    }
}

double network_seconds(const network *net, int layer, int pass) { return net->layers[layer].slots[pass].seconds; }

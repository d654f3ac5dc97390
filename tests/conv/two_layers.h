/* Two layers whose algorithms are chosen, for tests of what is kept of choices. */
#ifndef VGG11_TESTS_CONV_TWO_LAYERS_H
#define VGG11_TESTS_CONV_TWO_LAYERS_H

#include "conv/autotune_impl.h"

enum { LAYERS = 2 };

static const conv_layer layers[LAYERS] = {
    {"conv1", {.kernel = 3, .side = 32, .in = 1, .out = 64, .batch = 2, .threads = 1}, {true, false, true}},
    {"fc1", {.kernel = 1, .side = 1, .in = 512, .out = 4096, .batch = 2, .threads = 1}, {true, true, true}},
};
static conv_choice choices[LAYERS][CONV_PASSES];
static conv_autotune_config config = {.precision = PRECISION_FP32, .node_ranks = 1};
static const autotuner tuner = {
    .config = &config, .layers = layers, .count = LAYERS, .choices = choices, .node_ranks = 1, .alone = true};

#endif

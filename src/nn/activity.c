/* What a forward pass has left behind, for those who want to know how a network is. */
#include <math.h>

#include "nn/network_impl.h"
#include "vgg11/base/bf16.h"

static double output_at(const network *net, int layer, size_t index)
{
    const void *output = net->layers[layer].output;
    return net->problems[layer].problem.bf16_y ? bf16_widen(((const bf16 *)output)[index]) : ((const float *)output)[index];
}

/* Channels lie side by side: those of one are `out` numbers apart. */
static double channel_squares(const network *net, int layer, size_t channel, size_t pixels)
{
    double squares = 0;
    size_t out = (size_t)net->layers[layer].row->out;
    for (size_t pixel = 0; pixel < pixels; pixel++) {
        double value = output_at(net, layer, pixel * out + channel);
        squares += value * value;
    }
    return squares;
}

network_activity network_layer_activity(const network *net, int layer)
{
    const layer_row *row = net->layers[layer].row;
    size_t pixels = (size_t)net->n * output_count(row) / (size_t)row->out, silent = 0;
    double squares = 0;
    for (size_t channel = 0; channel < (size_t)row->out; channel++) {
        double own = channel_squares(net, layer, channel, pixels);
        squares += own;
        silent += own == 0;
    }
    return (network_activity){.rms = sqrt(squares / ((double)pixels * row->out)), .silent = (double)silent / row->out};
}

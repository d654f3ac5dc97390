/* A forward pass over images that lie elsewhere than in the network. */
#ifndef VGG11_TESTS_SUPPORT_FORWARD_H
#define VGG11_TESTS_SUPPORT_FORWARD_H

#include <string.h>

#include "vgg11/nn/model.h"
#include "vgg11/nn/network.h"

/* images[n][32][32][1]; otherwise as network_forward(). */
static inline const float *forward_images(network *net, const float *weights, const float *images, int n)
{
    if (n > 0) memcpy(network_input(net), images, (size_t)n * MODEL_SIDE * MODEL_SIDE * sizeof *images);
    return network_forward(net, weights, n);
}

#endif

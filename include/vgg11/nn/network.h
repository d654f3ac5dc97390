/* The network: plans, activations and the forward and backward walk over the table of model.h.
 * Knows no MPI. Parameters and gradients are flat buffers of model_flat_count() floats, 64-byte aligned, that
 * belong to the caller. */
#ifndef VGG11_NN_NETWORK_H
#define VGG11_NN_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/precision.h"
#include "vgg11/base/status.h"
#include "vgg11/conv/autotune.h"

typedef struct network network;

typedef struct {
    int batch_capacity; /* most samples that one forward will get */
    int threads;        /* OpenMP threads to use, >= 1 */
    int node_ranks;     /* ranks that share this one's memory and its bandwidth, itself included: what is timed depends on it */
    vgg_precision precision;
    const char *conv;       /* a row's name to force it for all layers and passes that it accepts, or NULL / "auto" */
    bool training;          /* false: forward only, no memory for backward */
    bool tune;              /* time the candidates, if one rank asks for it; false takes the first row that accepts on every rank */
    const char *plan_cache; /* file that keeps timed choices for this CPU; NULL for none */
    const char *plan;       /* a line of network_algorithms(): taken before all else if every rank has the same and can; or NULL */
    conv_agreement agreement;
} network_config;

/* VGG_UNAVAILABLE if a named algorithm or precision is not to be had here, or memory is short. Owns everything it
 * allocates; network_destroy() frees it (NULL is fine). VGG_DISAGREE if the ranks' builds have unlike algorithms. Collective if
 * config->agreement is set: ranks may have unlike threads, tune, plan_cache and plan; what they get may fail on some of them alone. */
vgg_status network_create(const network_config *config, network **out);
void network_destroy(network *net);

/* To be called after the weights have changed and before the next forward: packs what the plans keep of their own. */
void network_prepare(network *net, const float *weights);

/* Makes these copies anew and compares them with what they were: the name of the first layer where they were not those of `weights`,
 * or NULL. Many plans keep none. */
const char *network_check(network *net, const float *weights);

/* Where the images of the next forward are to be written: [batch_capacity][32][32][1], 64-byte aligned, the network's memory. Backward
 * reads them again. */
float *network_input(network *net);

/* Logits[n][10] of the first n images of network_input(), 0 <= n <= batch_capacity. Keeps what backward needs. The result is the
 * network's memory, valid until the next call. */
const float *network_forward(network *net, const float *weights, int n);

/* "This range of the gradient is final": floats first .. first+count-1 of the flat buffer. Called on the calling thread,
 * from the last layer to the first; the ranges are disjoint and together cover the whole flat buffer. */
typedef void (*network_range_final)(void *context, size_t first, size_t count);

/* Called on the calling thread after each pass of backward, and within it between tiles of work (not more often than every
 * tenth of a millisecond, then within the algorithms' parallel region), so that a communication library can make progress. */
typedef void (*network_poll)(void *context);

typedef struct {
    void *context;
    network_range_final range_final; /* may be NULL */
    network_poll poll;               /* may be NULL */
} network_hooks;

/* A batch whose dense kernels' gradients are kept as factors: dense_factors.h. */
typedef struct factor_batch factor_batch;

/* Overwrites gradient (all of it, padding with zeros) with the sum over the last forward's samples of the gradient that
 * dlogits[n][10] starts. n == 0 gives zeros and still calls the hooks. With `factors` (or NULL) the kernels that they hold are
 * written there, and their place in gradient is left as it is. */
void network_backward(network *net, const float *weights, const float *dlogits, float *gradient, const factor_batch *factors,
                      const network_hooks *hooks);

/* One line per layer and pass: algorithm chosen, time, reasons declined. Calls `line` for each. */
void network_describe(const network *net, void (*line)(void *context, const char *text), void *context);

/* The algorithm chosen for layer `layer` (0..MODEL_LAYERS-1) in a pass; "none" where there is none. */
const char *network_algorithm(const network *net, int layer, conv_pass pass);

/* All of them in a line, as conv_choices_print() writes it. */
void network_algorithms(const network *net, char text[CONV_CHOICES_TEXT_MAX]);

/* Bytes this network has allocated. */
size_t network_memory_bytes(const network *net);

/* Activations and plans' timings for the benchmark: seconds spent in layer and pass since network_timing(net, true). */
void network_timing(network *net, bool enable);
double network_seconds(const network *net, int layer, conv_pass pass);

#endif

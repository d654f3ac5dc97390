/* The network: plans, activations, and the forward and backward passes over the table of layers in model.h. Parameters and
 * gradients are flat buffers of model_flat_count() floats, 64-byte aligned, which belong to the caller. */
#ifndef VGG11_NN_NETWORK_H
#define VGG11_NN_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/precision.h"
#include "vgg11/base/spans.h"
#include "vgg11/base/status.h"
#include "vgg11/conv/autotune.h"

typedef struct network network;

typedef struct {
    int batch_capacity; /* most samples of one forward pass */
    int threads;        /* OpenMP threads, >= 1 */
    int node_ranks;     /* ranks on this node, which share its memory bandwidth: timings hold for this number */
    vgg_precision precision;
    const char *conv;       /* a row's name to force it for all layers and passes that it accepts, or NULL / "auto" */
    bool training;          /* false: forward only, without memory for backward */
    bool tune;              /* time the candidates; if no rank asks for it, the first row that accepts on every rank is taken */
    const char *plan_cache; /* file that keeps timed choices for this CPU; NULL for none */
    bool retune;            /* take nothing from that file, and write there what is timed now */
    double spread_limit;    /* a choice whose timed runs spread more than this is not kept there (autotune.h); 0: all are */
    const char *plan;       /* a line of network_algorithms(), taken if all ranks give the same and can open its rows; or NULL */
    conv_agreement agreement;
} network_config;

/* Chooses the algorithms (conv_autotune()) and allocates everything; network_destroy() frees it (NULL is fine). VGG_UNAVAILABLE if
 * a named algorithm or the precision is not available here, or memory is short; VGG_DISAGREE if the ranks' builds have different
 * algorithms. Collective if config->agreement is set. Ranks may differ in threads, tune, plan_cache, retune and plan, and a failure may
 * be one rank's alone: the caller has to agree on the status. */
vgg_status network_create(const network_config *config, network **out);
void network_destroy(network *net);

/* Renews the packed copies of weights that some plans keep. To be called after each change of the weights, before the next
 * forward. */
void network_prepare(network *net, const float *weights);

/* Checks these copies by making them anew: returns the name of the first layer of which a copy was not that of `weights`, or
 * NULL. */
const char *network_check(network *net, const float *weights);

/* Where the caller writes the images of the next forward: [batch_capacity][32][32][1], 64-byte aligned, the network's memory.
 * Backward reads them again. */
float *network_input(network *net);

/* The first layer whose output of the last forward pass is not finite; MODEL_LAYERS if there is none. For networks that train, which
 * keep the outputs of all layers. */
int network_first_not_finite(const network *net);

/* A hash of a layer's output of the last forward pass, after ReLU and pooling. For networks that train, likewise. */
uint64_t network_output_hash(const network *net, int layer);

/* Logits[n][10] of the first n images of network_input(), 0 <= n <= batch_capacity. Keeps what backward needs. The result lies in
 * the network's memory and is valid until the next call. */
const float *network_forward(network *net, const float *weights, int n);

/* "This range of the gradient is final": floats first .. first+count-1 of the flat buffer. Called on the calling thread,
 * from the last layer to the first; the ranges are disjoint and together cover the whole flat buffer. */
typedef void (*network_range_final)(void *context, size_t first, size_t count);

/* Lets a communication library make progress. Called on the calling thread after each layer's passes in backward, and within a pass
 * between tasks, there inside of a parallel region and at most every tenth of a millisecond. */
typedef void (*network_poll)(void *context);

typedef struct {
    void *context;
    network_range_final range_final; /* may be NULL */
    network_poll poll;               /* may be NULL */
} network_hooks;

/* A batch whose dense kernels' gradients are kept as factors; see dense_factors.h. */
typedef struct factor_batch factor_batch;

/* Overwrites `gradient` with the gradient of the loss, summed over the samples of the last forward, of which dlogits[n][10] is the
 * gradient with respect to the logits; padding becomes zero. n == 0 gives zeros and still calls the hooks. If `factors` is not
 * NULL, the gradients of the kernels that it holds are written there, and their places in `gradient` are left as they are. */
void network_backward(network *net, const float *weights, const float *dlogits, float *gradient, const factor_batch *factors,
                      const network_hooks *hooks);

/* Calls `line` with a line of text for each layer and pass: the algorithm chosen and its time; then with one for each reason why a row
 * declined some of them. */
void network_describe(const network *net, void (*line)(void *context, const char *text), void *context);

/* Name of the algorithm chosen for layer 0..MODEL_LAYERS-1 in a pass; "none" if the pass is not needed. */
const char *network_algorithm(const network *net, int layer, conv_pass pass);

/* Writes the names of all algorithms chosen, in a line as conv_choices_print() writes it. */
void network_algorithms(const network *net, char text[CONV_CHOICES_TEXT_MAX]);

/* Bytes this network has allocated. */
size_t network_memory_bytes(const network *net);

/* Of the outputs of layer 0..MODEL_LAYERS-1 in the last forward, of at least one image, after ReLU and pooling. For a network that
 * trains: others keep no outputs. */
typedef struct {
    double rms;    /* root mean square */
    double silent; /* share of the channels or features that are zero everywhere in all images */
} network_activity;

network_activity network_layer_activity(const network *net, int layer);

/* For the benchmark: network_timing(net, true) starts the timing of each pass, from zero; network_seconds() returns the seconds
 * spent in a layer's pass since then. */
void network_timing(network *net, bool enable);
double network_seconds(const network *net, int layer, conv_pass pass);

/* From now on the passes of each layer go into `log`, which must outlive that, each with its operations: "conv2 forward", and "conv2
 * backward" with "conv2 weight gradient" and "conv2 input gradient" in it. NULL: no more. */
void network_trace(network *net, span_log *log);

#endif

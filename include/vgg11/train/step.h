/* One training step, as the trainer, the benchmark and tests take it:
 *
 *   training_step_begin()                     a batch of so many images over all ranks
 *   for each micro-batch of this rank:
 *       fill network_input(step->net) and step->labels with training_step_images()
 *       training_step_forward_backward()      its gradient; what is final of it goes to the exchange
 *   training_step_allreduce()                 the mean gradient over all ranks
 *   training_step_update()                    norm, clipping, Nesterov's update, new weights for the next forward
 */
#ifndef VGG11_TRAIN_STEP_H
#define VGG11_TRAIN_STEP_H

#include "vgg11/exchange/exchange.h"
#include "vgg11/nn/dense_factors.h"
#include "vgg11/nn/loss.h"
#include "vgg11/nn/network.h"
#include "vgg11/train/optimizer.h"

typedef struct {
    network_config network;        /* but batch_capacity, training, node_ranks and agreement, which are the step's to set */
    exchange_config exchange;      /* but threads, count, segments, excluded and node_scratch_bytes, likewise */
    const char *recorded_exchange; /* a row's name, taken instead of exchange.name where it is to be had; or NULL */
    bool factors;                  /* keep the dense kernels' gradients as factors, where that is faster and can be */
    size_t batch_size;             /* most images in a batch, over all ranks */
} training_step_config;

/* Seconds of a step on this rank. */
typedef struct {
    double forward_s;
    double backward_s; /* less the exchange within it */
    double exchange_s; /* what of it is not hidden behind the backward pass, waiting for other ranks included */
    double update_s;   /* norm and update */
    double prepare_s;  /* what plans keep of the new weights */
    double step_s;     /* from begin to the end of the update */
} training_step_times;

typedef struct {
    comm *c;
    exchange *ex;
    factor_set *f; /* NULL: whole gradients */
    network *net;
    int threads;
    int capacity;              /* most images in a micro-batch of this rank, at least 1 */
    uint8_t *labels;           /* [capacity] */
    float *dlogits;            /* [capacity][10] */
    training_step_times times; /* of the last step */
    /* Of the step under way. */
    size_t images;
    factor_batch factors;
    double started_s;
    double computed_s;
} training_step;

/* Most images in one micro-batch of a rank, at least 1. */
int training_step_capacity(const comm *c, const training_step_config *config);

/* Collective; status as exchange_create() and network_create(), the same on all ranks. training_step_close() frees, also after a
 * failure. */
vgg_status training_step_open(comm *c, const training_step_config *config, training_step *step);
void training_step_close(training_step *step);

/* Collective. Without a network: for allreduce and update alone. */
vgg_status training_step_open_exchange(comm *c, const training_step_config *config, training_step *step);

/* Micro-batches of this rank, and the images of one of them within the batch; may be none. */
int training_step_micro_batches(const training_step *step);
vgg_range training_step_images(const training_step *step, int index);

/* Collective. */
void training_step_begin(training_step *step, size_t images);

/* Of this rank's micro-batches in order. The sum of its images' losses; their gradient is scaled by one over the batch. */
loss_result training_step_forward_backward(training_step *step, int index);

/* Collective. */
void training_step_allreduce(training_step *step);

/* Collective. Updates what this rank owns and publishes it. Weights stay as they were if the norm is not finite. */
clip_result training_step_update(training_step *step, const optimizer_config *optimizer, double lr);

/* For networks whose algorithms all ranks choose together. */
conv_agreement training_step_agreement(comm *c);

#endif

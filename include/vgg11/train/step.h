/* One training step, as the trainer, the benchmark and tests take it:
 *
 *   training_step_begin()                     a batch of so many images over all ranks
 *   for each micro-batch of this rank:
 *       fill network_input(step->net) and step->labels with training_step_images()
 *       training_step_forward_backward()      its gradient, of which each range goes to the exchange as soon as it is final; or
 *       training_step_replay()                the same, and the gradient once more, to compare
 *   training_step_allreduce()                 the mean gradient over all ranks
 *   training_step_clip()                      its norm and the factors of clipping
 *   training_step_update()                    Nesterov's update, new weights for the next forward; or
 *   training_step_discard()                   nothing of the gradient is used
 */
#ifndef VGG11_TRAIN_STEP_H
#define VGG11_TRAIN_STEP_H

#include "vgg11/exchange/exchange.h"
#include "vgg11/nn/dense_factors.h"
#include "vgg11/nn/loss.h"
#include "vgg11/nn/network.h"
#include "vgg11/train/optimizer.h"

typedef struct {
    network_config network;        /* without batch_capacity, training, node_ranks and agreement, which the step sets */
    exchange_config exchange;      /* without threads, count, segments, excluded and node_scratch_bytes, which the step sets */
    const char *recorded_exchange; /* a row's name, taken instead of exchange.name where it opens; or NULL */
    bool factors;                  /* keep the dense kernels' gradients as factors, where that is possible and faster */
    bool replay;                   /* with memory for training_step_replay() */
    size_t batch_size;             /* most images in a batch, over all ranks */
    double label_smoothing;        /* of the loss, see loss.h */
} training_step_config;

/* Seconds of a step on this rank. */
typedef struct {
    double forward_s;
    double backward_s; /* with the loss; without the exchange within it */
    double exchange_s; /* the part that the backward pass does not hide, with waiting for other ranks */
    double update_s;   /* norm, update and publication of the weights */
    double prepare_s;  /* packing of the new weights */
    double step_s;     /* from begin to the end of the update */
} training_step_times;

typedef struct {
    comm *c;
    exchange *ex;
    factor_set *f; /* NULL: all gradients are whole */
    network *net;
    int threads;
    int capacity;           /* most images in a micro-batch of this rank, at least 1 */
    uint8_t *labels;        /* [capacity] */
    float *dlogits;         /* [capacity][10] */
    float *replayed;        /* [model_flat_count()]: the gradient when it is computed again; NULL without replay */
    void *replayed_factors; /* factors_bytes(): its factors, if there are any */
    double label_smoothing;
    training_step_times times; /* of the last step */
    span_log *spans;           /* NULL: no trace */
    /* Of the step under way. */
    size_t images;
    factor_batch factors;
    double started_s;
    double computed_s;
    double clipped_s;
} training_step;

/* Most images in one micro-batch of a rank, at least 1. */
int training_step_capacity(const comm *c, const training_step_config *config);

/* Collective; the same status on all ranks, which is that of exchange_create() or network_create(). training_step_close() frees,
 * also after a failure. */
vgg_status training_step_open(comm *c, const training_step_config *config, training_step *step);
void training_step_close(training_step *step);

/* Collective. Opens a step without a network, for training_step_allreduce() and what follows it alone. */
vgg_status training_step_open_exchange(comm *c, const training_step_config *config, training_step *step);

/* From now on what this rank does in a step goes into `log`, which must outlive that; NULL: no more. */
void training_step_trace(training_step *step, span_log *log);

/* How many micro-batches this rank has, and the images of one of them within the batch, of which there may be none. */
int training_step_micro_batches(const training_step *step);
vgg_range training_step_images(const training_step *step, int index);

/* Collective. Begins a step over a batch of `images` images. */
void training_step_begin(training_step *step, size_t images);

/* Computes the gradient of micro-batch `index`, scaled by 1 / images of the batch; to be called for this rank's micro-batches in
 * order. Returns the sum of the losses of its images. */
loss_result training_step_forward_backward(training_step *step, int index);

/* Does the same, and then computes it again from the same images and weights into memory that is this rank's own. `differs` names the
 * first result that did not come out with the same bits, in the order of computing: "the output of conv3", "the gradient of
 * fc1.kernel"; "" if all did. It is known on this rank alone. */
enum { TRAINING_STEP_RESULT_BYTES = 64 };
loss_result training_step_replay(training_step *step, int index, char differs[TRAINING_STEP_RESULT_BYTES]);

/* Collective. Waits until the gradient is summed over all ranks. */
void training_step_allreduce(training_step *step);

/* Collective. The norm of the whole gradient and the factors of clipping, from the same sums on all ranks; weights and velocity are
 * those of the step before until the next call. */
clip_result training_step_clip(training_step *step, const optimizer_config *optimizer);

/* Collective. Updates the weights that this rank owns and publishes them. `clip` is to be finite. */
void training_step_update(training_step *step, const optimizer_config *optimizer, const clip_result *clip, double lr);

/* Collective. Ends a step whose gradient is not to be used: no bit of weights and velocity changes. */
void training_step_discard(training_step *step);

/* The agreement by which all ranks of `c` choose their networks' algorithms together. */
conv_agreement training_step_agreement(comm *c);

#endif

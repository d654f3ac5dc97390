/* The model's gradient between the backward walk and the new weights: which exchange and which factors, and what they do in a
 * step. Shared by the trainer and the benchmark. */
#ifndef VGG11_TRAIN_STEP_H
#define VGG11_TRAIN_STEP_H

#include "vgg11/exchange/exchange.h"
#include "vgg11/nn/dense_factors.h"
#include "vgg11/train/optimizer.h"

typedef struct {
    bool factors;    /* keep the dense kernels' gradients as factors, where that is faster and can be */
    vgg_precision precision;
    const char *conv; /* a row that was named computes whole gradients; NULL or "auto": none was */
    size_t images;   /* most in a batch, over all ranks */
    exchange_config exchange; /* but count, segments, apart and node_scratch_bytes, which are the model's */
} training_step_config;

typedef struct {
    exchange *ex;
    factor_set *f; /* NULL: whole gradients */
} training_step;

/* Collective; status as exchange_create(). training_step_close() frees, also after a failure. */
vgg_status training_step_open(comm *c, const training_step_config *config, training_step *out);
void training_step_close(training_step *step);

/* For network_backward() over this rank's part of a batch of `images`; its f is NULL where gradients are whole. */
factor_batch training_step_factors(const training_step *step, size_t images, int threads);

/* Collective, after exchange_finish(): norm, clipping, update of what this rank owns, publication. Weights stay as they were if
 * the norm is not finite. */
clip_result training_step_update(const training_step *step, const factor_batch *batch, const optimizer_config *optimizer, double lr);

#endif

/* The model's gradient between the backward walk and the new weights: which exchange and which factors, and what they do in a
 * step. Shared by the trainer and the benchmark. */
#ifndef VGG11_TRAIN_WEIGHT_STEP_H
#define VGG11_TRAIN_WEIGHT_STEP_H

#include "vgg11/dist/exchange.h"
#include "vgg11/nn/factors.h"
#include "vgg11/train/optimizer.h"

typedef struct {
    bool factors;    /* keep the dense kernels' gradients as factors, where that is faster and can be */
    network_precision precision;
    const char *conv; /* a row that was named computes whole gradients; NULL or "auto": none was */
    size_t images;   /* most in a batch, over all ranks */
    exchange_config exchange; /* but count, segments, apart and common_bytes, which are the model's */
} weight_step_config;

typedef struct {
    exchange *ex;
    factor_set *f; /* NULL: whole gradients */
} weight_step;

/* Collective; status as exchange_create(). weight_step_close() frees, also after a failure. */
vgg_status weight_step_open(comm *c, const weight_step_config *config, weight_step *out);
void weight_step_close(weight_step *step);

/* For network_backward() over this rank's part of a batch of `images`; its f is NULL where gradients are whole. */
factor_batch weight_step_batch(const weight_step *step, size_t images, int threads);

/* Collective, after exchange_finish(): norm, clipping, update of what this rank owns, publication. Weights stay as they were if
 * the norm is not finite. */
clip_result weight_step_run(const weight_step *step, const factor_batch *batch, const optimizer_config *optimizer, double lr);

#endif

/* Nesterov SGD on a range of the flat buffers, in Keras' form (keras.optimizers.SGD(nesterov=True)):
 *   g' = scale * g (+ weight_decay * w for kernels);  v <- m v - lr g';  w <- w + m v - lr g'   (w <- w + v without Nesterov) */
#ifndef VGG11_TRAIN_OPTIMIZER_H
#define VGG11_TRAIN_OPTIMIZER_H

#include <stdbool.h>
#include <stddef.h>

#include "vgg11/base/range.h"
#include "vgg11/nn/dense_factors.h"
#include "vgg11/nn/model.h"

typedef enum { CLIP_GLOBAL, CLIP_TENSOR } clip_mode;

typedef struct {
    float momentum;
    bool nesterov;
    float weight_decay;
    float clip_norm; /* 0: no clipping */
    clip_mode mode;
    int threads;
} optimizer_config;

/* The clipping of one step. */
typedef struct {
    float scale[MODEL_TENSORS]; /* factor of each tensor's gradient, 1 where it is not clipped */
    double norm;                /* L2 norm over all tensors, before clipping; NaN or Inf if a gradient is */
    double smallest_scale;
    const tensor_view *not_finite; /* the first, as the backward pass meets them, whose gradient is not finite; NULL: none */
} clip_result;

/* Computes the factors of clipping from the sums of squares of each tensor's mean gradient: the same bits on all ranks for the same
 * sums. */
void optimizer_clip(const optimizer_config *config, const double square_sums[MODEL_TENSORS], clip_result *result);

/* Whether norm and factors are finite, so that the gradient may be applied. */
bool optimizer_clip_is_finite(const clip_result *clip);

typedef struct {
    float *weights;
    float *velocity;
    const float *gradient;
    const factor_batch *factors; /* has the gradients of some kernels instead; NULL, or a batch without a set, for none */
} optimizer_buffers;

/* Updates weights and velocity on `owned` or, of kernels whose gradients are in factors, on this rank's factor_rows().
 * OpenMP-parallel; how the work is cut changes no bit. */
void optimizer_update(const optimizer_config *config, const clip_result *clip, float lr, vgg_range owned,
                      const optimizer_buffers *buffers);

#endif

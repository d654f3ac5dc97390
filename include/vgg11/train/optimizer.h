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

/* What clipping does in one step. */
typedef struct {
    float scale[MODEL_TENSORS];
    double norm; /* L2 over all tensors, before clipping; NaN or Inf if a gradient is */
    double smallest_scale;
} clip_result;

/* From the sums of squares of each tensor's mean gradient. The same bits everywhere for the same sums. */
void optimizer_clip(const optimizer_config *config, const double square_sums[MODEL_TENSORS], clip_result *result);

typedef struct {
    float *weights;
    float *velocity;
    const float *gradient;
    const factor_batch *factors; /* or NULL, or one without a set: where the kernels that it holds have their gradient */
} optimizer_buffers;

/* Updates weights and velocity on `owned`, and of kernels in factors on the caller's factor_rows() instead. OpenMP-parallel; each
 * element depends on its own inputs alone. */
void optimizer_update(const optimizer_config *config, const clip_result *clip, float lr, vgg_range owned,
                      const optimizer_buffers *buffers);

#endif

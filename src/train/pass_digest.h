/* What a forward and backward pass of one micro-batch gave, as hashes that are set beside those of another pass of the same. A
 * gradient is hashed at the moment when it is final: the exchange may write sums of all ranks over it from then on, so that there
 * is nothing left to compare with afterwards; and a copy would cost as much memory as the gradient itself. */
#ifndef VGG11_TRAIN_PASS_DIGEST_H
#define VGG11_TRAIN_PASS_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/nn/dense_factors.h"
#include "vgg11/nn/loss.h"
#include "vgg11/nn/model.h"
#include "vgg11/nn/network.h"

enum { PASS_RESULTS = MODEL_LAYERS + 1 + MODEL_TENSORS };

/* In the order of computing: the layers' outputs, the loss, the gradients from the last tensor to the first. */
typedef struct {
    uint64_t hashes[PASS_RESULTS];
} pass_digest;

void pass_digest_outputs(pass_digest *digest, const network *net);
void pass_digest_loss(pass_digest *digest, loss_result loss);

/* Of the tensors in a range of the flat buffer `gradient`; of a kernel in factors, its factors. OpenMP-parallel. */
void pass_digest_gradient(pass_digest *digest, const float *gradient, const factor_batch *factors, vgg_range range);

/* Names the first result that is not the same in both, "the output of conv3", or writes "". */
void pass_digest_compare(const pass_digest *digest, const pass_digest *other, char *text, size_t text_bytes);

#endif

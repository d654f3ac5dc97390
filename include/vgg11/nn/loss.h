/* Softmax cross-entropy. */
#ifndef VGG11_NN_LOSS_H
#define VGG11_NN_LOSS_H

#include <stdint.h>

typedef struct {
    double loss_sum;  /* sum over samples of -log(probability of the label), natural logarithm */
    uint32_t correct; /* samples whose largest logit, the first of equals, is the label's */
} loss_result;

/* Loss of logits[n][10] with labels[n], and dlogits[n][10] = scale * (softmax(logits) - onehot(labels)), unless NULL. The largest
 * logit is subtracted first, so that large logits do not overflow; NaN gives NaN. logits and dlogits may be the same array. Samples
 * are summed in order. */
loss_result loss_softmax_cross_entropy(const float *logits, const uint8_t *labels, int n, float scale, float *dlogits);

#endif

/* Softmax cross-entropy. */
#ifndef VGG11_NN_LOSS_H
#define VGG11_NN_LOSS_H

#include <stdint.h>

typedef struct {
    double loss_sum;  /* natural logarithm, summed over samples */
    uint32_t correct; /* samples whose largest logit is the label's (the first of equals counts) */
} loss_result;

/* dlogits[n][10] = scale * (softmax(logits) - onehot(labels)); NULL to skip it. The maximum is subtracted first, so large
 * logits do not overflow; NaN in gives NaN out. logits and dlogits may be the same array. Sums in sample order. */
loss_result loss_softmax_cross_entropy(const float *logits, const uint8_t *labels, int n, float scale, float *dlogits);

#endif

/* Softmax cross-entropy. */
#ifndef VGG11_NN_LOSS_H
#define VGG11_NN_LOSS_H

#include <stdint.h>

typedef struct {
    double loss_sum;  /* sum over samples, natural logarithm */
    uint32_t correct; /* samples whose largest logit, the first of equals, is the label's */
} loss_result;

/* Loss of logits[n][10] with labels[n], and dlogits[n][10] = scale * (softmax(logits) - target), unless NULL. The target is
 * (1 - smoothing) * onehot(label) + smoothing / 10, with 0 <= smoothing < 1 (label smoothing: Szegedy et al., arXiv:1512.00567, section
 * 7, as PyTorch's CrossEntropyLoss(label_smoothing=) has it), and the loss -sum of target * log(probability). The largest
 * logit is subtracted first, so that large logits do not overflow; NaN gives NaN. logits and dlogits may be the same array. Samples
 * are summed in order. */
loss_result loss_softmax_cross_entropy(const float *logits, const uint8_t *labels, int n, double smoothing, float scale,
                                       float *dlogits);

/* probability[10] of logits[10]; returns log(sum of exp(logits)). */
double loss_softmax(const float *logits, double *probability);

/* The class of the largest of logits[10], the first of equals. */
int loss_first_largest(const float *logits);

#endif

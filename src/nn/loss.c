#include "vgg11/nn/loss.h"

#include <math.h>

#include "vgg11/nn/model.h"

/* probability[k] = softmax(logits)[k]; returns log(sum of exp(logits)). Where a logit is NaN, `maximum` may be any of them: the sum
 * is NaN all the same. */
static double softmax(const float *logits, double *probability)
{
    double maximum = logits[0], sum = 0;
    for (int k = 1; k < MODEL_CLASSES; k++) maximum = logits[k] > maximum ? logits[k] : maximum;
    for (int k = 0; k < MODEL_CLASSES; k++) sum += probability[k] = exp(logits[k] - maximum);
    for (int k = 0; k < MODEL_CLASSES; k++) probability[k] /= sum;
    return log(sum) + maximum;
}

static int first_largest(const float *logits)
{
    int largest = 0;
    for (int k = 1; k < MODEL_CLASSES; k++) {
        if (logits[k] > logits[largest]) largest = k;
    }
    return largest;
}

loss_result loss_softmax_cross_entropy(const float *logits, const uint8_t *labels, int n, float scale, float *dlogits)
{
    loss_result result = {0, 0};
    for (int i = 0; i < n; i++) {
        const float *row = logits + (size_t)i * MODEL_CLASSES;
        double probability[MODEL_CLASSES];
        double log_sum = softmax(row, probability);
        result.loss_sum += log_sum - row[labels[i]];
        result.correct += first_largest(row) == labels[i];
        if (!dlogits) continue;
        probability[labels[i]] -= 1;
        for (int k = 0; k < MODEL_CLASSES; k++) dlogits[(size_t)i * MODEL_CLASSES + k] = (float)(scale * probability[k]);
    }
    return result;
}

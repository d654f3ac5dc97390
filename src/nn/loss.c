#include "vgg11/nn/loss.h"

#include <math.h>

#include "vgg11/nn/model.h"

/* Where a logit is NaN, `maximum` may be any of them: the sum is NaN all the same. */
double loss_softmax(const float *logits, double *probability)
{
    double maximum = logits[0], sum = 0;
    for (int k = 1; k < MODEL_CLASSES; k++) maximum = logits[k] > maximum ? logits[k] : maximum;
    for (int k = 0; k < MODEL_CLASSES; k++) sum += probability[k] = exp(logits[k] - maximum);
    for (int k = 0; k < MODEL_CLASSES; k++) probability[k] /= sum;
    return log(sum) + maximum;
}

int loss_first_largest(const float *logits)
{
    int largest = 0;
    for (int k = 1; k < MODEL_CLASSES; k++) {
        if (logits[k] > logits[largest]) largest = k;
    }
    return largest;
}

/* What a smoothed target weighs the logits with: (1 - smoothing) of the label's, and the rest of all alike. */
static double target_logit(const float *logits, uint8_t label, double smoothing)
{
    double sum = 0;
    if (smoothing == 0) return logits[label]; /* also where another logit is not finite */
    for (int k = 0; k < MODEL_CLASSES; k++) sum += logits[k];
    return (1 - smoothing) * logits[label] + smoothing * sum / MODEL_CLASSES;
}

loss_result loss_softmax_cross_entropy(const float *logits, const uint8_t *labels, int n, double smoothing, float scale,
                                       float *dlogits)
{
    loss_result result = {0, 0};
    for (int i = 0; i < n; i++) {
        const float *row = logits + (size_t)i * MODEL_CLASSES;
        double probability[MODEL_CLASSES];
        double log_sum = loss_softmax(row, probability);
        result.loss_sum += log_sum - target_logit(row, labels[i], smoothing);
        result.correct += loss_first_largest(row) == labels[i];
        if (!dlogits) continue;
        probability[labels[i]] -= 1 - smoothing;
        for (int k = 0; k < MODEL_CLASSES; k++)
            dlogits[(size_t)i * MODEL_CLASSES + k] = (float)(scale * (probability[k] - smoothing / MODEL_CLASSES));
    }
    return result;
}

#include "vgg11/train/evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "train/mistakes.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/range.h"
#include "vgg11/nn/loss.h"
#include "vgg11/train/stop_signal.h"
#include "vgg11/train/watchdog.h"

typedef struct {
    uint32_t *order;
    uint8_t *labels;
} evaluation_buffers;

static vgg_status open_buffers(uint32_t batch, evaluation_buffers *b)
{
    b->order = malloc(batch * sizeof *b->order);
    b->labels = malloc(batch);
    if (b->order && b->labels) return VGG_OK;
    return vgg_fail(VGG_UNAVAILABLE, "no memory for a batch of %u images to evaluate", batch);
}

static void close_buffers(evaluation_buffers *b)
{
    free(b->order);
    free(b->labels);
}

static double evaluate_batch(network *net, const float *weights, const dataset *set, const normalization *table, vgg_range part,
                             const evaluation_buffers *b, evaluation *result)
{
    int n = (int)part.count;
    for (int i = 0; i < n; i++) b->order[i] = (uint32_t)(part.first + (size_t)i);
    batch_fill(set, table, b->order, (uint32_t)n, network_input(net), b->labels);
    const float *logits = network_forward(net, weights, n);
    for (int i = 0; i < n; i++) {
        const float *of_image = logits + (size_t)i * DATASET_CLASSES;
        result->confusion[b->labels[i]][loss_first_largest(of_image)]++;
        mistakes_add(&result->mistakes, b->order[i], b->labels[i], of_image);
    }
    return loss_softmax_cross_entropy(logits, b->labels, n, 0, 0, NULL).loss_sum;
}

static void summarise(evaluation *result, double loss_sum)
{
    uint64_t correct = 0;
    for (int i = 0; i < DATASET_CLASSES; i++) {
        correct += result->confusion[i][i];
        for (int k = 0; k < DATASET_CLASSES; k++) result->samples += result->confusion[i][k];
    }
    double samples = result->samples ? (double)result->samples : 1;
    result->loss = loss_sum / samples;
    result->accuracy = (double)correct / samples;
}

/* The batch of this rank from its sample `done` on; empty when it has no more. */
static vgg_range next_batch(vgg_range mine, size_t done, uint32_t batch)
{
    size_t left = mine.count > done ? mine.count - done : 0;
    return (vgg_range){mine.first + done, size_min(left, batch)};
}

/* This rank's samples, into result->confusion, and the sum of their losses. As many rounds on all ranks, since all ask in each
 * whether one of them was told to stop; the first rank's part is the longest. */
static vgg_status evaluate_part(comm *c, network *net, const float *weights, const dataset *set, const normalization *table,
                                uint32_t batch, const evaluation_buffers *buffers, evaluation *result, double *loss_sum)
{
    size_t ranks = (size_t)comm_size(c), longest = range_part(set->count, ranks, 0).count;
    vgg_range mine = range_part(set->count, ranks, (size_t)comm_rank(c));
    for (size_t done = 0; done < longest; done += batch) {
        vgg_range part = next_batch(mine, done, batch);
        watchdog_enter(WATCHDOG_EVALUATION);
        if (part.count > 0) *loss_sum += evaluate_batch(net, weights, set, table, part, buffers, result);
        watchdog_enter(WATCHDOG_EVALUATION);
        if (stop_signal_agree(c)) return vgg_fail(VGG_STOPPED, "stopped by a signal while evaluating");
    }
    return VGG_OK;
}

vgg_status evaluate_run(comm *c, network *net, const float *weights, const dataset *set, const normalization *table, uint32_t batch,
                        evaluation *result)
{
    evaluation_buffers buffers = {0};
    double loss_sum = 0;
    memset(result, 0, sizeof *result);
    vgg_status status = comm_agree(c, open_buffers(batch, &buffers));
    if (status == VGG_OK) status = evaluate_part(c, net, weights, set, table, batch, &buffers, result, &loss_sum);
    if (status == VGG_OK) status = mistakes_merge(c, &result->mistakes);
    if (status == VGG_OK) {
        comm_sum_in_rank_order(c, &loss_sum, 1);
        comm_sum_u64(c, &result->confusion[0][0], (size_t)DATASET_CLASSES * DATASET_CLASSES);
        summarise(result, loss_sum);
    }
    close_buffers(&buffers);
    return status;
}

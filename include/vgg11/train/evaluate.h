/* Evaluation over a data set, sharded over the ranks. Collective. */
#ifndef VGG11_TRAIN_EVALUATE_H
#define VGG11_TRAIN_EVALUATE_H

#include <stdint.h>

#include "vgg11/base/run_events.h"
#include "vgg11/base/status.h"
#include "vgg11/data/batch.h"
#include "vgg11/data/dataset.h"
#include "vgg11/comm/comm.h"
#include "vgg11/nn/network.h"

/* An image that the network took for another digit. */
typedef struct {
    double probability; /* of the answer, by softmax */
    uint32_t image;     /* sample of the set */
    uint16_t label;
    uint16_t answer; /* class of the largest logit */
} evaluation_mistake;

enum { EVALUATION_MISTAKES = 12 };

typedef struct {
    evaluation_mistake list[EVALUATION_MISTAKES]; /* the surest first */
    uint32_t count;
} evaluation_mistakes;

typedef struct {
    double loss;     /* mean over all samples */
    double accuracy; /* 0..1 */
    uint64_t samples;
    uint64_t confusion[DATASET_CLASSES][DATASET_CLASSES]; /* [label][prediction] */
    evaluation_mistakes mistakes;                         /* the surest wrong answers */
} evaluation;

/* Evaluates `weights` on all samples of `set`, each of which counts once whatever the number of ranks. `net` must have been
 * prepared with `weights`; `batch` is its capacity, at least 1, the same on all ranks. The same result on all ranks; VGG_UNAVAILABLE on
 * all if one has no memory, VGG_STOPPED on all, within a batch, if one has received a signal to stop (stop_signal.h). */
vgg_status evaluate_run(comm *c, network *net, const float *weights, const dataset *set, const normalization *table, uint32_t batch,
                        evaluation *result);

/* What an observer is told of a mistake, without its picture. */
run_mistake evaluation_tell_mistake(const evaluation_mistake *mistake);

#endif

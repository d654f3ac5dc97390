/* Private to train: the images of an evaluation whose wrong answer the network gave with the highest probability. */
#ifndef VGG11_TRAIN_MISTAKES_H
#define VGG11_TRAIN_MISTAKES_H

#include "vgg11/comm/comm.h"
#include "vgg11/train/evaluate.h"

/* Takes the image in if its answer is wrong and among the surest so far; of equally sure ones, the image that comes first in the set.
 * logits[10]; an answer whose probability is no number is none. */
void mistakes_add(evaluation_mistakes *mistakes, uint32_t image, uint8_t label, const float *logits);

/* What an observer is told of them: a picture of each image as the set has it, where pictures can be packed, for mistakes_forget(). */
void mistakes_tell(const evaluation_mistakes *mistakes, const dataset *set, run_mistake told[EVALUATION_MISTAKES]);
void mistakes_forget(run_mistake told[EVALUATION_MISTAKES]);

/* The surest of all ranks, the same on all. Collective. VGG_UNAVAILABLE on all ranks if one has no memory. */
vgg_status mistakes_merge(comm *c, evaluation_mistakes *mistakes);

#endif

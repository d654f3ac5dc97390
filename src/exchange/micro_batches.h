/* The micro-batches that one rank holds, and their sum within the rank. */
#ifndef VGG11_EXCHANGE_MICRO_BATCHES_H
#define VGG11_EXCHANGE_MICRO_BATCHES_H

#include "vgg11/exchange/exchange.h"

enum { MICRO_BATCH_LEVELS_MAX = 32 };

typedef struct {
    int count;                              /* micro-batches of this rank: 2^levels */
    int levels;                             /* of the tree within the rank */
    size_t floats;                          /* in each buffer */
    float *waiting[MICRO_BATCH_LEVELS_MAX]; /* [levels][floats]: sums that wait for their other half */
} micro_batch_tree;

/* VGG_BAD_OPTION, with a message that says which numbers fit, if the configuration's micro-batches do not fit this many ranks. */
vgg_status micro_batches_check(const exchange_config *config, int ranks);

/* Allocates the buffers: VGG_UNAVAILABLE without memory. micro_batches_close() frees them, also after a failure. */
vgg_status micro_batches_open(micro_batch_tree *tree, const exchange_config *config, int ranks);
void micro_batches_close(micro_batch_tree *tree);
size_t micro_batches_memory_bytes(const micro_batch_tree *tree);

#endif

/* Slices of the global batch that one rank holds, and their sum within the rank. */
#ifndef VGG11_DIST_SLICES_H
#define VGG11_DIST_SLICES_H

#include "vgg11/dist/exchange.h"

enum { SLICE_LEVELS_MAX = 32 };

typedef struct {
    int count;                       /* slices of this rank: 2^levels */
    int levels;
    size_t floats;                   /* in each buffer */
    float *waiting[SLICE_LEVELS_MAX]; /* [levels][floats]: sums that wait for their other half */
} slice_tree;

/* VGG_BAD_OPTION, saying which numbers do, if the configuration's slices do not fit this many ranks. */
vgg_status slices_check(const exchange_config *config, int ranks);

/* slices_close() frees, also after a failure. */
vgg_status slices_open(slice_tree *tree, const exchange_config *config, int ranks);
void slices_close(slice_tree *tree);
size_t slices_memory_bytes(const slice_tree *tree);

#endif

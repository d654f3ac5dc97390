/* Sums of float arrays over the ranks of a communicator, in one of the ways that --slices and --wire ask for. */
#ifndef VGG11_DIST_RANK_SUM_H
#define VGG11_DIST_RANK_SUM_H

#include "dist/exchange_impl.h"

typedef struct rank_sum rank_sum;

/* Sums of up to `count` floats over `ranks`, which must outlive it. Not collective: the caller has to agree on the status, and
 * to call rank_sum_close() after a failure too. NULL is fine. */
vgg_status rank_sum_open(const exchange *ex, MPI_Comm ranks, size_t count, rank_sum **out);
void rank_sum_close(rank_sum *sum);

/* Collective over the ranks: data[count] becomes the sum, with the same bits on all. `at` is where data lies within the
 * opened count, at + count <= opened count; it selects the rounding errors that are carried on. */
void rank_sum_run(rank_sum *sum, float *data, size_t at, size_t count);

/* Per rank, for the opened count; 0 for NULL. */
size_t rank_sum_bytes_sent(const rank_sum *sum);
size_t rank_sum_memory_bytes(const rank_sum *sum);

#endif

/* A queue of sums of float arrays over the ranks of a communicator, in the fixed order that --slices wants and over the wire that
 * --wire wants (rank_direct.h). Several can be under way; they end in the order in which they began. */
#ifndef VGG11_DIST_RANK_SUM_H
#define VGG11_DIST_RANK_SUM_H

#include "dist/exchange_impl.h"

typedef struct rank_sum rank_sum;

typedef struct {
    MPI_Comm ranks; /* must outlive the sums */
    size_t count;   /* floats of the whole that is summed piece by piece */
    size_t longest; /* floats of a piece */
} rank_sum_plan;

/* A piece of at least `least` floats, and so long that each of so many ranks' part of it is worth a message. */
size_t rank_sum_piece(int ranks, size_t least);

/* Not collective: the caller has to agree on the status, and to call rank_sum_close() after a failure too. NULL is fine. */
vgg_status rank_sum_open(const exchange *ex, const rank_sum_plan *plan, rank_sum **out);
void rank_sum_close(rank_sum *sum);

/* As many as are allowed are not yet under way. */
bool rank_sum_has_room(const rank_sum *sum);

/* Begins a sum; there must be room. Collective in that all ranks begin the same sums in the same order. data[count] must be left
 * alone until it has ended: then it is the sum, with the same bits on all. `at` is where data lies within the plan's count, and
 * selects the rounding errors that are carried on. */
void rank_sum_start(rank_sum *sum, float *data, size_t at, size_t count);

/* Lets all that are under way go on. How many of those ever begun have ended: the first so many. */
size_t rank_sum_test(rank_sum *sum);

/* Waits until there is room. */
void rank_sum_wait_for_room(rank_sum *sum);

/* Waits until all have ended. */
void rank_sum_wait(rank_sum *sum);

/* Sums data[plan->count] and waits for it. Nothing else is under way. */
void rank_sum_run(rank_sum *sum, float *data);

/* Per rank, for the plan's count; 0 for NULL. */
size_t rank_sum_bytes_sent(const rank_sum *sum);
size_t rank_sum_memory_bytes(const rank_sum *sum);

#endif

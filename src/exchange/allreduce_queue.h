/* A queue of sums of float arrays over the ranks of a communicator, in the fixed order that --micro-batches wants and over the wire that
 * --wire wants (pairwise_allreduce.h). Several can be under way; they end in the order in which they began. */
#ifndef VGG11_EXCHANGE_ALLREDUCE_QUEUE_H
#define VGG11_EXCHANGE_ALLREDUCE_QUEUE_H

#include "exchange/exchange_impl.h"

typedef struct allreduce_queue allreduce_queue;

typedef struct {
    MPI_Comm ranks; /* must outlive the sums */
    size_t count;   /* floats of the whole that is summed bucket by bucket */
    size_t longest; /* floats of a bucket */
} allreduce_queue_plan;

/* A bucket of at least `least` floats, and so long that each of so many ranks' part of it is worth a message. */
size_t allreduce_queue_bucket(int ranks, size_t least);

/* Not collective: the caller has to agree on the status, and to call allreduce_queue_close() after a failure too. NULL is fine. */
vgg_status allreduce_queue_open(const exchange *ex, const allreduce_queue_plan *plan, allreduce_queue **out);
void allreduce_queue_close(allreduce_queue *sum);

/* As many as are allowed are not yet under way. */
bool allreduce_queue_has_room(const allreduce_queue *sum);

/* Begins a sum; there must be room. Collective in that all ranks begin the same sums in the same order. data[count] must be left
 * alone until it has ended: then it is the sum, with the same bits on all. `at` is where data lies within the plan's count, and
 * selects the rounding errors that are carried on. */
void allreduce_queue_start(allreduce_queue *sum, float *data, size_t at, size_t count);

/* Lets all that are under way go on. How many of those ever begun have ended: the first so many. */
size_t allreduce_queue_test(allreduce_queue *sum);

/* Waits until there is room. */
void allreduce_queue_wait_for_room(allreduce_queue *sum);

/* Waits until all have ended. */
void allreduce_queue_wait(allreduce_queue *sum);

/* Sums data[plan->count] and waits for it. Nothing else is under way. */
void allreduce_queue_run(allreduce_queue *sum, float *data);

/* Per rank, for the plan's count; 0 for NULL. */
size_t allreduce_queue_bytes_sent(const allreduce_queue *sum);
size_t allreduce_queue_memory_bytes(const allreduce_queue *sum);

#endif

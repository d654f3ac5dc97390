/* A queue of all-reduces of float arrays over the ranks of a communicator, each in the fixed order and the wire format of
 * pairwise_allreduce.h. Several can be under way; they are reported as ended in the order in which they began. */
#ifndef VGG11_EXCHANGE_ALLREDUCE_QUEUE_H
#define VGG11_EXCHANGE_ALLREDUCE_QUEUE_H

#include "exchange/exchange_impl.h"

typedef struct allreduce_queue allreduce_queue;

typedef struct {
    MPI_Comm ranks; /* must outlive the queue */
    size_t count;   /* floats of the array that is summed bucket by bucket */
    size_t longest; /* floats of the longest bucket */
} allreduce_queue_plan;

/* Floats of a bucket: at least `least`, and so many that the part of each of `ranks` ranks is worth a message. */
size_t allreduce_queue_bucket(int ranks, size_t least);

/* Not collective: the caller has to agree on the status, and to call allreduce_queue_close() after a failure too. NULL is fine. */
vgg_status allreduce_queue_open(const exchange *ex, const allreduce_queue_plan *plan, allreduce_queue **out);
void allreduce_queue_close(allreduce_queue *sum);

/* Whether another sum can be started. */
bool allreduce_queue_has_room(const allreduce_queue *sum);

/* Begins the sum of data[count] over the ranks; there must be room. All ranks must begin the same sums in the same order. data must
 * be left alone until the sum has ended; it then holds the sum, with the same bits on all ranks. `at` is the offset of data in the
 * plan's array, which selects its rounding errors. */
void allreduce_queue_start(allreduce_queue *sum, float *data, size_t at, size_t count);

/* Lets the sums under way make progress. Returns how many have ended since the queue was opened; they are the first ones begun. */
size_t allreduce_queue_test(allreduce_queue *sum);

/* Waits until another sum can be started. */
void allreduce_queue_wait_for_room(allreduce_queue *sum);

/* Waits until all sums have ended. */
void allreduce_queue_wait(allreduce_queue *sum);

/* Sums data[plan->count] and waits for the end. No other sum may be under way. */
void allreduce_queue_run(allreduce_queue *sum, float *data);

/* Bytes that a rank sends for the plan's count, and bytes of memory of the queue; 0 for NULL. */
size_t allreduce_queue_bytes_sent(const allreduce_queue *sum);
size_t allreduce_queue_memory_bytes(const allreduce_queue *sum);

#endif

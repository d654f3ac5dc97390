/* An all-reduce in which each rank makes one part of the sum: every rank sends each other rank that one's part, adds up what it
 * receives, and sends its part of the sum to all others (reduce-scatter and all-gather by pairwise exchange: Thakur, Rabenseifner &
 * Gropp, "Optimization of collective communication operations in MPICH", 2005). It sends no more bytes than a ring, and adds in an
 * order that depends on the ranks alone, the balanced tree of tree_sum.h; MPI_Allreduce promises no order. Calls do not wait, so
 * that several sums can be under way.
 *
 * On a bf16 wire the numbers, and then the sums, are rounded, which halves the bytes. The rank that rounds keeps the rounding error
 * and adds it to what it sends the next time (error feedback: Seide et al., "1-bit stochastic gradient descent", 2014; Karimireddy
 * et al., "Error feedback fixes SignSGD", 2019), so that no part of a gradient is lost. A checkpoint does not hold these errors: a
 * resumed run starts with errors of zero, and ends in other bits than an uninterrupted one. */
#ifndef VGG11_EXCHANGE_PAIRWISE_ALLREDUCE_H
#define VGG11_EXCHANGE_PAIRWISE_ALLREDUCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/mpi_impl.h"

typedef struct {
    MPI_Comm ranks;
    int rank;
    int size;
    int threads;
    bool bf16;             /* numbers are sent as bfloat16 */
    const float **sources; /* [size]: scratch memory of an addition */
} pairwise_group;

/* A rank exchanges messages with PAIRWISE_BATCH others at a time, and goes on to the next batch when all of a batch have arrived.
 * Large batches need pairwise_allreduce_test() to be called less often. */
enum { PAIRWISE_BATCH = 8, PAIRWISE_REQUESTS = 2 * PAIRWISE_BATCH };

/* The buffers of one sum of up to `floats` floats. */
typedef struct {
    MPI_Request *requests; /* [PAIRWISE_REQUESTS]: MPI_REQUEST_NULL at first and where no message is under way; to wait for */
    void *in;              /* pairwise_in_bytes(): what the ranks have sent of this rank's part */
    uint16_t *out;         /* [floats] if bf16, else unused: the rounded numbers */
    float *sent_error;     /* [floats] if bf16: rounding errors of this rank's numbers, zero at first */
    float *sum_error;      /* [floats] if bf16: rounding errors of the sums, zero at first; only this rank's part is used */
} pairwise_memory;

typedef struct {
    const pairwise_group *group;
    pairwise_memory memory;
    float *data;
    size_t count;
    int tag;
    int turn;       /* 1 .. size - 1: the first turn of the batch; in turn t a rank sends to the rank t places on */
    int batch;      /* turns under way */
    bool gathering; /* the second half, in which the sums are sent */
    bool done;
} pairwise_allreduce;

/* Size of pairwise_memory's `in` for a sum of `floats` floats. */
size_t pairwise_in_bytes(const pairwise_group *group, size_t floats);

/* Begins to sum data[count] over group->ranks. All memory must stay until pairwise_allreduce_test() returns true: data then holds
 * the sum, with the same bits on all ranks. NaN and Inf pass through. Sums that are under way at the same time must have different
 * tags. */
void pairwise_allreduce_start(pairwise_allreduce *sum, const pairwise_group *group, pairwise_memory memory, float *data,
                              size_t count, int tag);

/* Lets the sum make progress; returns true when it is done. */
bool pairwise_allreduce_test(pairwise_allreduce *sum);

#endif

/* A sum over ranks, each part of it made by one of them: every rank sends each other one its part, adds what it gets, and sends
 * everybody its part of the sum (reduce-scatter and all-gather by pairwise exchange: Thakur, Rabenseifner & Gropp, "Optimization
 * of collective communication operations in MPICH", 2005). It sends no more than a ring does, and adds in an order that depends
 * on nothing but the ranks: the balanced tree of sum.h, which MPI_Allreduce does not promise. Goes on in steps, so that several
 * can be under way.
 *
 * On a bf16 wire the numbers, and then the sums, are rounded: half the bytes. What rounding takes away is kept on the rank that
 * rounded, and added to what it sends the next time (error feedback: Seide et al., "1-bit stochastic gradient descent", 2014;
 * Karimireddy et al., "Error feedback fixes SignSGD", 2019), so that nothing is lost for good. A checkpoint does not hold what
 * is kept: a run that goes on from one has nothing to add at first, and comes to other bits than one that never stopped. */
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
    bool narrow;           /* bf16 on the wire */
    const float **sources; /* [size], scratch of an addition */
} pairwise_group;

/* Messages to so many ranks are under way at once: the fewer times all of a batch have to be waited for, the less it matters how
 * seldom pairwise_allreduce_test() is called. */
enum { PAIRWISE_BATCH = 8, PAIRWISE_REQUESTS = 2 * PAIRWISE_BATCH };

/* The buffers of one sum of up to so many floats. */
typedef struct {
    MPI_Request
        *requests; /* [PAIRWISE_REQUESTS], MPI_REQUEST_NULL at first and where nothing is under way; who waits, waits for these */
    void *in;      /* pairwise_in_bytes() */
    uint16_t *out; /* [floats] if narrow, else unused */
    float *sent_error; /* [floats] if narrow: of this rank's numbers; and */
    float *sum_error;  /* ... of the sums, of which only this rank's part is used; zero at first */
} pairwise_memory;

typedef struct {
    const pairwise_group *group;
    pairwise_memory memory;
    float *data;
    size_t count;
    int tag;
    int turn;       /* 1 .. size - 1: the distance between this rank and whom it sends to, of the first of the batch */
    int batch;      /* turns under way */
    bool gathering; /* second half: sums are handed out */
    bool done;
} pairwise_allreduce;

size_t pairwise_in_bytes(const pairwise_group *group, size_t floats);

/* Begins to sum data[count] over group->ranks; NaN and Inf stay what they are. All memory must stay until pairwise_allreduce_test()
 * says true: then data holds the sum, with the same bits on all ranks. Sums under way at the same time have different tags. */
void pairwise_allreduce_start(pairwise_allreduce *sum, const pairwise_group *group, pairwise_memory memory, float *data,
                              size_t count, int tag);

/* Makes progress; true when all is done. */
bool pairwise_allreduce_test(pairwise_allreduce *sum);

#endif

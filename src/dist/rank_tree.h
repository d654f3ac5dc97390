/* The sum over 2^k ranks as the balanced tree ((r0 + r1) + (r2 + r3)) + ..., which MPI_Allreduce does not promise: recursive
 * halving with the nearest neighbour first, then recursive doubling (Thakur, Rabenseifner & Gropp, "Optimization of collective
 * communication operations in MPICH", 2005). Goes on in steps, so that several can be under way. */
#ifndef VGG11_DIST_RANK_TREE_H
#define VGG11_DIST_RANK_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "dist/mpi_impl.h"
#include "vgg11/base/range.h"

typedef struct {
    MPI_Comm ranks;
    int rank;
    int size;
    int tag;
    float *data;
    float *scratch;
    int distance;    /* between partners of the step under way */
    bool gathering;  /* second half: sums are handed back */
    bool done;
    vgg_range whole; /* of data */
    vgg_range held;  /* what this rank is still adding up, or has complete */
    vgg_range other; /* the partner's half */
    MPI_Request requests[2];
} rank_tree;

/* Floats of scratch that a sum of `count` floats needs. */
size_t rank_tree_scratch(size_t count);

/* Begins to sum data[count] over `ranks`, a power of two of them. data and scratch must stay until rank_tree_test() says true.
 * Sums under way at the same time have different tags. */
void rank_tree_start(rank_tree *tree, MPI_Comm ranks, float *data, size_t count, float *scratch, int tag);

/* Makes progress; true when data holds the sum. */
bool rank_tree_test(rank_tree *tree);
void rank_tree_wait(rank_tree *tree);

#endif

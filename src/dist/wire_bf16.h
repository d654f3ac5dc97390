/* Sums over ranks that send bfloat16: half the bytes on the wire. What rounding takes away is kept on the rank that rounded,
 * and added to what it sends the next time (error feedback: Seide et al., "1-bit stochastic gradient descent", 2014; Karimireddy
 * et al., "Error feedback fixes SignSGD", 2019), so that nothing is lost for good. A checkpoint does not hold what is kept: a run
 * that goes on from one has nothing to add at first, and comes to other bits than one that never stopped. */
#ifndef VGG11_DIST_WIRE_BF16_H
#define VGG11_DIST_WIRE_BF16_H

#include <stddef.h>
#include <stdint.h>

#include "dist/mpi_impl.h"

typedef struct {
    MPI_Comm ranks;
    int rank;
    int size;
    int threads;
    size_t count; /* floats in all */
    void *memory; /* wire_bf16_bytes(count, size), zero at first, kept from sum to sum */
} wire_bf16;

size_t wire_bf16_bytes(size_t count, int ranks);

/* Collective over wire->ranks. data[floats], which is floats at .. at+floats-1 of the whole, becomes the sum over ranks, rounded
 * to bfloat16, with the same bits on all. floats <= MPI_CHUNK. NaN and Inf stay what they are. */
void wire_bf16_sum(const wire_bf16 *wire, float *data, size_t at, size_t floats);

#endif

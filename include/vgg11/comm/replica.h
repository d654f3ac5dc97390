/* Comparison of the ranks' copies of a buffer, by hashes. */
#ifndef VGG11_COMM_REPLICA_H
#define VGG11_COMM_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/range.h"
#include "vgg11/comm/comm.h"

/* The number of blocks in which a buffer is hashed, and the sum of the hashes of a range of them: the sums of several ranks that
 * hash different blocks add up to the hash of the whole. OpenMP-parallel. */
size_t replica_blocks(size_t count);
uint64_t replica_hash(const float *buffer, size_t count, vgg_range blocks, int threads);

/* What this rank has found in its copy of a buffer. */
typedef struct {
    uint64_t hash;
    uint64_t changed; /* 1 if it is not what it was, although no rank should have written to it; else 0 */
} replica_finding;

/* Collective. VGG_DISAGREE on all ranks, with a message that names ranks, if a copy has changed or copies differ. With node_copies
 * the ranks of a node share one copy and give the same finding; else each rank has a copy. */
vgg_status replica_compare(comm *c, const char *what, replica_finding mine, bool node_copies);

/* Collective. VGG_DISAGREE on all ranks if the ranks' buffers differ in any bit. The message names the ranks in the minority or,
 * without a majority, both sides. */
vgg_status replica_check(comm *c, const char *what, const float *buffer, size_t count, int threads);

#endif

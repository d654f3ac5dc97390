/* Comparison of the copies that ranks hold of a buffer, by hashes. */
#ifndef VGG11_COMM_REPLICA_H
#define VGG11_COMM_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/range.h"
#include "vgg11/comm/comm.h"

/* Pieces that a buffer is hashed in, and the sum of the hashes of some of them: whoever hashes which, in whatever order, all
 * pieces together sum up to the same. OpenMP-parallel. */
size_t replica_pieces(size_t count);
uint64_t replica_hash(const float *buffer, size_t count, vgg_range pieces, int threads);

/* What this rank has found in its copy of a buffer. */
typedef struct {
    uint64_t hash;
    uint64_t changed; /* 1: it is not what it was, though nobody was to write to it */
} replica_finding;

/* Collective. VGG_DISAGREE on all ranks, naming ranks, if a copy has changed or copies differ. With node_copies the ranks of a node
 * share one copy, and have found the same; else each rank has its own. */
vgg_status replica_compare(comm *c, const char *what, replica_finding mine, bool node_copies);

/* Collective. VGG_DISAGREE on all ranks, naming the ranks in the minority, or, without a majority, both sides, if buffers that each
 * rank has for itself differ in any bit. */
vgg_status replica_check(comm *c, const char *what, const float *buffer, size_t count, int threads);

#endif

/* Replicas of a buffer, which must agree bit by bit. */
#ifndef VGG11_COMM_REPLICA_H
#define VGG11_COMM_REPLICA_H

#include <stddef.h>

#include "vgg11/comm/comm.h"

/* Collective. VGG_DISAGREE on all ranks, naming the ranks in the minority, if buffers differ in any bit between ranks. */
vgg_status replica_check(comm *c, const char *what, const float *buffer, size_t count, int threads);

#endif

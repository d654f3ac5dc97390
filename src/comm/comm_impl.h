/* The communicators behind comm.h, for the files of this folder. */
#ifndef VGG11_COMM_COMM_IMPL_H
#define VGG11_COMM_COMM_IMPL_H

#include "comm/mpi_impl.h"
#include "vgg11/comm/comm.h"

enum { COMM_SUM_BATCH = 64 };
enum { COMM_TAG = 1 }; /* of messages of this room; exchanges have those from 2 on */

struct comm {
    MPI_Comm world; /* a duplicate of MPI_COMM_WORLD, so that nobody else's messages mix with ours */
    MPI_Comm node;  /* ranks that share memory, in world order */
    int rank;
    int size;
    int node_rank;
    int node_size;
    int node_index;
    int node_count;
    int *node_of;     /* [size]: node index of each rank */
    int *node_sizes;  /* [node_count]: ranks of each node */
    double *gathered; /* [size * COMM_SUM_BATCH]: scratch of comm_sum_in_rank_order() */
    char host[256];
    char library[MPI_MAX_LIBRARY_VERSION_STRING];
};

/* Collective. Splits c->world into nodes, fills the node part of *c and allocates what is as long as there are ranks. */
vgg_status nodes_open(comm *c);
void nodes_close(comm *c);

/* This rank's half of comm_shared_sync(), for those who share several blocks and want one barrier for all. */
void shared_fence(comm_shared *shared);

/* The ranks that are true in listed[size], e.g. "0,3-5", into `text`; ends in ",..." where they do not all fit. */
void ranks_list(const bool *listed, int size, char *text, size_t text_bytes);

#endif

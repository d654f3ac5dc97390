/* The ranks of a run: who they are, and how they agree. The only layer that knows MPI; no MPI type shows in its headers.
 *
 * Every function marked Collective must be called by all ranks in the same order. MPI is initialised with
 * MPI_THREAD_FUNNELED: all calls come from the thread that called comm_open(). Works without mpirun as one rank.
 */
#ifndef VGG11_COMM_COMM_H
#define VGG11_COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/status.h"

typedef struct comm comm;

/* Collective. VGG_UNAVAILABLE if MPI does not give the thread level that is needed; before it is started, on this rank alone, if memory or
 * address space is short. */
vgg_status comm_open(int *argc, char ***argv, comm **out);

/* The rank that mpirun, its daemon or srun gave this process, known before comm_open(); -1 for a process that was started alone. */
int comm_launched_rank(void);

/* VGG_UNAVAILABLE if this process is one of several tasks of a launcher that this MPI does not understand (srun without a matching
 * --mpi, the mpirun of another MPI), so that each believes to be alone and all would do the same work. */
vgg_status comm_check_launcher(const comm *c);

/* Collective. Finalises MPI. */
void comm_close(comm *c);

int comm_rank(const comm *c);
int comm_size(const comm *c);
int comm_node_rank(const comm *c); /* rank among those that share memory with this one */
int comm_node_size(const comm *c);
int comm_node_index(const comm *c); /* 0 .. comm_node_count() - 1, by lowest rank */
int comm_node_count(const comm *c);
const char *comm_host(const comm *c);
const char *comm_library_version(const comm *c); /* one line */

/* Collective. All ranks give a status and get the same one: VGG_OK if all gave it, else that of the lowest rank that failed, whose
 * vgg_message() all ranks get, too. Ranks must branch on the result only. */
vgg_status comm_agree(comm *c, vgg_status mine);

/* Collective. VGG_DISAGREE on all ranks if the texts differ between ranks; the message names `what`, the differing ranks and the
 * beginnings of two texts. */
vgg_status comm_agree_text(comm *c, const char *what, const char *text);

/* Collective. Joins the ranks' texts (63 bytes of each) to one that is the same on all: `mine` where all are equal, else each with
 * its ranks, "avx2@0,portable@1-2", or, where that is too long, a checksum of it. */
vgg_status comm_join_texts(comm *c, const char *mine, char *text, size_t text_bytes);

/* Collective; the same result on all ranks. */
bool comm_any(comm *c, bool mine);      /* whether any rank gave true */
bool comm_same(comm *c, uint64_t mine); /* whether all ranks gave the same value */
double comm_max(comm *c, double mine);
void comm_max_u64(comm *c, uint64_t *values, size_t count);         /* in place */
void comm_sum_u64(comm *c, uint64_t *values, size_t count);         /* in place, exact */
void comm_sum_in_rank_order(comm *c, double *values, size_t count); /* in place; the same bits on every rank */
void comm_broadcast(comm *c, void *data, size_t bytes, int root);
/* all[size][bytes]: each rank's block, in rank order, on every rank. */
void comm_gather_all(comm *c, const void *mine, size_t bytes, void *all);
/* What rank `from`, another than 0, has in `mine`, rank 0 gets in `received`. On all other ranks it returns at once. */
void comm_send_to_first(comm *c, int from, const void *mine, void *received, size_t bytes);
void comm_barrier(comm *c);
void comm_node_barrier(comm *c);
/* Over the ranks of this node only. */
void comm_node_sum_u64(comm *c, uint64_t *values, size_t count);
void comm_node_gather_all(comm *c, const void *mine, size_t bytes, void *all);

/* How this rank's clock_now_s() stands to rank 0's. */
typedef struct {
    double at_s;         /* when that was measured, by this rank's clock */
    double offset_s;     /* to be added to this rank's clock for rank 0's */
    double round_trip_s; /* half of which the offset errs by at most */
} comm_clock;

/* Collective. The ranks of a node have one clock: an offset of 0. A rank of another asks rank 0 for its time some rounds long and takes
 * the one in which question and answer took the least time: rank 0 read its clock between them, halfway as far as anyone knows
 * (Cristian, "Probabilistic clock synchronization", Distributed Computing 3, 1989). */
comm_clock comm_compare_clocks(comm *c);

/* Memory that the ranks of a node share: zeroed, 64-byte aligned, one block a node. */
typedef struct comm_shared comm_shared;

/* Collective. VGG_UNAVAILABLE on all ranks, with the size in the message, if a node lacks memory. */
vgg_status comm_shared_open(comm *c, size_t bytes, comm_shared **out);
void *comm_shared_memory(comm_shared *shared);
/* Makes what this node's ranks wrote visible to them all. Collective over the node. */
void comm_shared_sync(comm *c, comm_shared *shared);
/* Collective. NULL is fine. */
void comm_shared_close(comm_shared *shared);

#endif

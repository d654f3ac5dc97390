/* Private to app: how many threads each rank uses. */
#ifndef VGG11_APP_THREADS_H
#define VGG11_APP_THREADS_H

#include <stdint.h>

#include "vgg11/comm/comm.h"

enum { THREADS_MASK_BITS = 8192 };

/* Processors as bits: processor i is bit i % 64 of word i / 64. */
typedef struct {
    uint64_t bits[THREADS_MASK_BITS / 64];
} processor_mask;

/* One bit for each core that this process may use (the first of its hardware threads that is allowed). */
processor_mask threads_allowed_cores(void);

/* Cores that this process may keep busy by its control group's quota, at least 1; INT_MAX without a quota. */
int threads_quota(void);

/* Fair share of rank `index` out of `count` whose masks are `masks`: a core that k ranks may use counts 1/k for each. The
 * share is rounded down, and 1 at least. */
int threads_share(const processor_mask *masks, int count, int index);

/* Cores in the union of the masks. */
int threads_union(const processor_mask *masks, int count);

typedef struct {
    int threads;        /* of this rank, >= 1 */
    const char *source; /* what says so */
    int node_threads;   /* of all ranks of the node together */
    int node_cores;     /* that the ranks of the node may use together */
    int node_online;    /* cores that the node has */
} thread_plan;

/* Collective. `asked` threads, or if it is 0 $OMP_NUM_THREADS, or without that this rank's fair share; sets OpenMP to it. Warns, on
 * rank 0, where some node has more threads than cores, or has them bound to fewer cores than threads. VGG_UNAVAILABLE without
 * memory. */
vgg_status threads_plan(comm *c, uint64_t asked, thread_plan *plan);

#endif

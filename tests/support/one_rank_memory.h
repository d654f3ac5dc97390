/* Memory that runs out on one rank alone: whoever is called with it hears of it, and nobody is waited for. For programs that
 * vgg_fail_memory() was called for. */
#ifndef VGG11_TESTS_SUPPORT_ONE_RANK_MEMORY_H
#define VGG11_TESTS_SUPPORT_ONE_RANK_MEMORY_H

#include "support/ranks.h"

typedef struct {
    const char *what;
    vgg_status (*call)(const void *context); /* collective */
    const void *context;
    vgg_status whole;    /* its status with all the memory that it wants */
    bool may_do_without; /* and where it can do without some of it */
} memory_call;

/* Collective. Lets the first allocation of each chain of calls fail on that rank in turn, from number `first` on every `stride`-th, and
 * asserts that all ranks give the same status: VGG_UNAVAILABLE, but for what it can do without. Returns the number of chains, which is
 * asserted not to be 0. */
int one_rank_memory_walk(const memory_call *call, int failing, int first, int stride);

#endif

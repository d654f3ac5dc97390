#include "support/one_rank_memory.h"

#include <stdio.h>

#include "support/failing_memory.h"

static memory_chains chains;

/* Of the second call: what the process allocates once it has by then. Those of the failing rank, whose numbers all go through. */
static void find_chains(const memory_call *call, int failing)
{
    ranks_assert(call->call(call->context) == call->whole, call->what);
    chains.count = 0;
    failing_memory_list(&chains);
    vgg_status status = call->call(call->context);
    failing_memory_list(NULL);
    ranks_assert(status == call->whole, call->what);
    comm_broadcast(ranks, &chains, sizeof chains, failing);
    ranks_assert(chains.count > 0, "it allocates something");
}

static void fail_one(const memory_call *call, int failing, long number)
{
    char when[150];
    failing_memory_fail(comm_rank(ranks) == failing ? number : 0);
    vgg_status status = call->call(call->context);
    failing_memory_fail(0);
    snprintf(when, sizeof when, "%s, allocation %ld of rank %d: status %d", call->what, number, failing, status);
    bool right = status == VGG_UNAVAILABLE || (call->may_do_without && status == call->whole);
    ranks_assert(comm_same(ranks, status) && right, when);
}

int one_rank_memory_walk(const memory_call *call, int failing, int first, int stride)
{
    find_chains(call, failing);
    for (int i = first; i < chains.count; i += stride) fail_one(call, failing, chains.first[i]);
    return chains.count;
}

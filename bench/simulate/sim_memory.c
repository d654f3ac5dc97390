/* In place of src/base/memory.c and src/comm/shared_memory.c: one block of memory that is every buffer of every simulated rank, since
 * a thousand ranks' buffers would not fit this machine (nor would the tables of their pages), and nobody looks at the numbers in
 * them. SMPI does not copy a message between places in it. */
#include "sim_memory.h"

#include <smpi/smpi.h>
#include <stdlib.h>

#include "comm/comm_impl.h"
#include "vgg11/base/memory.h"

static void *block;
static size_t block_bytes;

/* All ranks are threads of one process, so that they can share an address. */
void sim_memory_open(comm *c, size_t bytes)
{
    if (comm_rank(c) == 0) block = SMPI_SHARED_MALLOC(bytes);
    comm_broadcast(c, &block, sizeof block, 0);
    block_bytes = bytes;
}

vgg_status vgg_map(size_t bytes, void **out)
{
    *out = bytes > 0 ? block : NULL;
    return bytes <= block_bytes ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "the simulation has no %zu bytes", bytes);
}

void vgg_unmap(void *pointer, size_t bytes) { (void)pointer, (void)bytes; }

/* What is shorter is no buffer of numbers, but what ranks tell each other: it has to be a node's own. */
enum { BUFFER_BYTES_LEAST = 1 << 20 };

struct comm_shared {
    void *memory;
    bool owned;
};

static void *open_own(comm *c, size_t bytes)
{
    void *memory = c->node_rank == 0 ? calloc(1, bytes) : NULL;
    MPI_Bcast(&memory, sizeof memory, MPI_BYTE, 0, c->node);
    return memory;
}

vgg_status comm_shared_open(comm *c, size_t bytes, comm_shared **out)
{
    comm_shared *shared = *out = calloc(1, sizeof *shared);
    if (!shared) return vgg_fail(VGG_UNAVAILABLE, "no memory");
    comm_node_barrier(c);
    if (bytes >= BUFFER_BYTES_LEAST) return vgg_map(bytes, &shared->memory);
    shared->memory = open_own(c, bytes);
    shared->owned = c->node_rank == 0;
    return VGG_OK;
}

void *comm_shared_memory(comm_shared *shared) { return shared->memory; }

void shared_fence(comm_shared *shared) { (void)shared; }

void comm_shared_sync(comm *c, comm_shared *shared)
{
    (void)shared;
    comm_node_barrier(c);
}

void comm_shared_close(comm_shared *shared)
{
    if (shared && shared->owned) free(shared->memory);
    free(shared);
}

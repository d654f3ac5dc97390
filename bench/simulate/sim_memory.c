/* In place of src/base/memory.c and src/dist/shared.c: memory that all simulated ranks alias, since a thousand ranks' buffers
 * would not fit this machine and nobody looks at the numbers in them. */
#include <smpi/smpi.h>
#include <stdlib.h>

#include "dist/comm_impl.h"
#include "vgg11/base/memory.h"

vgg_status vgg_map(size_t bytes, void **out)
{
    *out = bytes > 0 ? SMPI_SHARED_MALLOC(bytes) : NULL;
    return bytes == 0 || *out ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "the simulation gives no %zu bytes", bytes);
}

void vgg_unmap(void *pointer, size_t bytes)
{
    (void)bytes;
    if (pointer) SMPI_SHARED_FREE(pointer);
}

struct comm_shared {
    void *memory;
};

vgg_status comm_shared_open(comm *c, size_t bytes, comm_shared **out)
{
    *out = calloc(1, sizeof **out);
    vgg_status status = *out ? vgg_map(bytes, &(*out)->memory) : vgg_fail(VGG_UNAVAILABLE, "no memory");
    comm_node_barrier(c);
    return status;
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
    if (!shared) return;
    vgg_unmap(shared->memory, 0);
    free(shared);
}

/* Memory that the ranks of a node share: an MPI-3 shared window, all of it on the node's first rank. */
#include "comm/comm_impl.h"

#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

enum { PAGE_BYTES = 4096 };

struct comm_shared {
    void *memory;   /* page-aligned */
    size_t bytes;   /* a multiple of PAGE_BYTES */
    MPI_Win window; /* MPI_WIN_NULL: this rank is alone on its node, and the memory is mapped */
};

static size_t mebibytes(size_t bytes) { return vgg_round_up(bytes, 1 << 20) >> 20; }

/* Where Open MPI keeps the windows' files. Its own answer, through MPI_T, would take a fifth of a second; where a file of
 * settings has moved them, what is looked at here is wrong, and touch_part() notices. */
static const char *backing_folder(void)
{
    const char *folder = getenv("OMPI_MCA_osc_sm_backing_directory");
    return folder && *folder ? folder : "/dev/shm";
}

/* Only the node's first rank looks, since it allocates the whole block. */
static vgg_status check_room(const comm *c, size_t bytes)
{
    const char *folder = backing_folder();
    struct statvfs room;
    if (c->node_rank != 0) return VGG_OK;
    if (statvfs(folder, &room) != 0) return vgg_fail_errno(VGG_UNAVAILABLE, "cannot look at %s, where shared memory lies", folder);
    size_t free_bytes = (size_t)room.f_bavail * room.f_frsize;
    if (free_bytes >= bytes) return VGG_OK;
    return vgg_fail(VGG_UNAVAILABLE,
                    "%s on %s has %zu MiB free, but %zu MiB of shared memory are needed: enlarge it (mount -o "
                    "remount,size=..., docker run --shm-size=...)",
                    folder, c->host, free_bytes >> 20, mebibytes(bytes));
}

/* Faults all pages in one call, which takes two thirds of the time that single page faults take. An error does not matter: kernels
 * before 5.14 do not have this call, and lack of memory is noticed when the memory is zeroed. */
static void prefault(void *part, size_t bytes)
{
#ifdef MADV_POPULATE_WRITE
    madvise(part, bytes, MADV_POPULATE_WRITE);
#else
    (void)part, (void)bytes;
#endif
}

static sigjmp_buf no_page;

static void on_bus_error(int number)
{
    (void)number;
    siglongjmp(no_page, 1);
}

/* Zeroes the memory; false if the file system has run full after all, which the kernel signals by SIGBUS. */
static bool zero_guarded(void *part, size_t bytes)
{
    struct sigaction before, action = {.sa_handler = on_bus_error};
    sigaction(SIGBUS, &action, &before);
    bool whole = sigsetjmp(no_page, 1) == 0;
    if (whole) memset(part, 0, bytes);
    sigaction(SIGBUS, &before, NULL);
    return whole;
}

/* Zeroes this rank's part, which also places it near this rank. */
static vgg_status touch_part(const comm *c, comm_shared *shared)
{
    vgg_range pages = range_part(shared->bytes / PAGE_BYTES, (size_t)c->node_size, (size_t)c->node_rank);
    char *part = (char *)shared->memory + pages.first * PAGE_BYTES;
    prefault(part, pages.count * PAGE_BYTES);
    if (zero_guarded(part, pages.count * PAGE_BYTES)) return VGG_OK;
    return vgg_fail(VGG_UNAVAILABLE, "shared memory on %s ran full: %zu MiB do not fit", c->host, mebibytes(shared->bytes));
}

static vgg_status open_window(comm *c, comm_shared *shared)
{
    MPI_Aint mine = c->node_rank == 0 ? (MPI_Aint)(shared->bytes + PAGE_BYTES) : 0;
    MPI_Aint found;
    int unit;
    void *base;
    int code = MPI_Win_allocate_shared(mine, 1, MPI_INFO_NULL, c->node, &base, &shared->window);
    if (code != MPI_SUCCESS) {
        shared->window = MPI_WIN_NULL;
        return vgg_fail(VGG_UNAVAILABLE, "%s gives no shared memory of %zu MiB on %s", c->library, mebibytes(shared->bytes),
                        c->host);
    }
    MPI_CALL(MPI_Win_set_errhandler, shared->window, MPI_ERRORS_RETURN);
    MPI_CALL(MPI_Win_shared_query, shared->window, 0, &found, &unit, &base);
    /* Ranks see the block at different addresses, but at the same offset within a page. */
    shared->memory = (void *)vgg_round_up((uintptr_t)base, PAGE_BYTES);
    MPI_CALL(MPI_Win_lock_all, MPI_MODE_NOCHECK, shared->window);
    /* Only advice: where the kernel grants huge pages to shared memory, fewer page faults and TLB misses. */
    madvise(shared->memory, shared->bytes, MADV_HUGEPAGE);
    return VGG_OK;
}

/* Fails on all ranks of a node or on none, so that no window is open on some of them only. */
static vgg_status open_on_node(comm *c, comm_shared *shared)
{
    if (c->node_size == 1) return vgg_map(shared->bytes, &shared->memory);
    return open_window(c, shared);
}

vgg_status comm_shared_open(comm *c, size_t bytes, comm_shared **out)
{
    *out = NULL;
    comm_shared *shared = calloc(1, sizeof *shared);
    vgg_status status = VGG_OK;
    if (!shared) status = vgg_fail(VGG_UNAVAILABLE, "no memory for a shared block");
    if (status == VGG_OK && c->node_size > 1) status = check_room(c, bytes);
    status = comm_agree(c, status);
    if (status != VGG_OK) {
        free(shared);
        return status;
    }
    shared->bytes = vgg_round_up(bytes > 0 ? bytes : 1, PAGE_BYTES);
    shared->window = MPI_WIN_NULL;
    status = comm_agree(c, open_on_node(c, shared));
    if (status == VGG_OK) status = comm_agree(c, touch_part(c, shared));
    if (status != VGG_OK) {
        comm_shared_close(shared);
        return status;
    }
    comm_shared_sync(c, shared);
    *out = shared;
    return VGG_OK;
}

void *comm_shared_memory(comm_shared *shared) { return shared->memory; }

void shared_fence(comm_shared *shared)
{
    if (shared->window != MPI_WIN_NULL) MPI_CALL(MPI_Win_sync, shared->window);
}

void comm_shared_sync(comm *c, comm_shared *shared)
{
    shared_fence(shared);
    comm_node_barrier(c);
    shared_fence(shared);
}

void comm_shared_close(comm_shared *shared)
{
    if (!shared) return;
    if (shared->window != MPI_WIN_NULL) {
        MPI_CALL(MPI_Win_unlock_all, shared->window);
        MPI_CALL(MPI_Win_free, &shared->window);
    } else if (shared->memory) {
        vgg_unmap(shared->memory, shared->bytes);
    }
    free(shared);
}

/* Memory that the ranks of a node share: a file in memory that the node's first rank makes, and that the others open through /proc.
 * It has no name that could be left behind, and takes no room of /dev/shm, of which containers have little. MPI_Win_allocate_shared()
 * does; and where its first rank fails, the others wait for it for ever. */
#include "comm/comm_impl.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vgg11/base/cpu.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

enum { PAGE_BYTES = 4096, HUGE_PAGE_BYTES = 2 << 20 };

struct comm_shared {
    void *memory; /* page-aligned */
    size_t bytes; /* a multiple of PAGE_BYTES */
    bool alone;   /* there is nobody to share with: the memory is this rank's own, by vgg_map() */
};

/* Where the others find the file, and what it is: in a container of their own the same path may lead elsewhere. */
typedef struct {
    int process;
    int descriptor;
    dev_t device;
    ino_t inode;
} file_address;

static size_t mebibytes(size_t bytes) { return vgg_round_up(bytes, 1 << 20) >> 20; }

/* Only the node's first rank looks: the others would count the same room again. Without a look at it the kernel would promise more
 * memory than there is, and end the process that writes to it. */
static vgg_status check_room(const comm *c, size_t bytes)
{
    size_t free_bytes = cpu_memory_available_bytes();
    if (free_bytes == 0 || free_bytes >= bytes) return VGG_OK;
    return vgg_fail(VGG_UNAVAILABLE, "%s has %zu MiB of memory free, but %zu MiB of shared memory are needed", c->host,
                    free_bytes >> 20, mebibytes(bytes));
}

static vgg_status make_file(const comm *c, size_t bytes, int *file)
{
    VGG_TRY(check_room(c, bytes));
    *file = memfd_create("vgg11_dist", MFD_CLOEXEC);
    if (*file >= 0 && ftruncate(*file, (off_t)bytes) == 0) return VGG_OK;
    return vgg_fail_errno(VGG_UNAVAILABLE, "%s gives no shared memory of %zu MiB", c->host, mebibytes(bytes));
}

static file_address address_of(int file)
{
    struct stat facts = {0};
    fstat(file, &facts);
    return (file_address){(int)getpid(), file, facts.st_dev, facts.st_ino};
}

/* Looked at before it is opened: to open a stranger's device may do something to it. */
static bool leads_to_file(const char *path, const file_address *address)
{
    struct stat facts;
    return stat(path, &facts) == 0 && facts.st_dev == address->device && facts.st_ino == address->inode;
}

/* Collective over the node. */
static vgg_status open_file(comm *c, int *file)
{
    char path[64];
    file_address address = {0};
    if (c->node_rank == 0) address = address_of(*file);
    MPI_CALL(MPI_Bcast, &address, (int)sizeof address, MPI_BYTE, 0, c->node);
    if (c->node_rank == 0) return VGG_OK;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", address.process, address.descriptor);
    if (leads_to_file(path, &address)) *file = open(path, O_RDWR | O_CLOEXEC);
    if (*file >= 0) return VGG_OK;
    return vgg_fail(VGG_UNAVAILABLE,
                    "rank %d on %s does not see the shared memory of its node's first rank as %s; is it in another container?",
                    c->rank, c->host, path);
}

static vgg_status map_file(const comm *c, int file, comm_shared *shared)
{
    void *memory = mmap(NULL, shared->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) {
        char limit[VGG_LIMIT_TEXT_MAX];
        return vgg_fail_errno(VGG_UNAVAILABLE, "rank %d on %s cannot map %zu MiB of shared memory%s", c->rank, c->host,
                              mebibytes(shared->bytes), vgg_limit_text(limit));
    }
    shared->memory = memory;
    /* Only advice: where the kernel grants huge pages to shared memory, fewer page faults and TLB misses. */
    if (shared->bytes >= HUGE_PAGE_BYTES) madvise(memory, shared->bytes, MADV_HUGEPAGE);
    return VGG_OK;
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

/* Zeroes the memory; false if memory has run out after all, which the kernel signals by SIGBUS. */
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
    return vgg_fail(VGG_UNAVAILABLE, "shared memory on %s ran out: %zu MiB do not fit", c->host, mebibytes(shared->bytes));
}

static vgg_status make_memory(comm *c, comm_shared *shared, int *file)
{
    if (!shared) return vgg_fail(VGG_UNAVAILABLE, "no memory for a shared block");
    if (shared->alone) return vgg_map(shared->bytes, &shared->memory);
    return c->node_rank == 0 ? make_file(c, shared->bytes, file) : VGG_OK;
}

/* Collective over the node, all of whose ranks map the file or none keeps it. */
static vgg_status join_memory(comm *c, comm_shared *shared, int *file)
{
    if (shared->alone) return VGG_OK;
    VGG_TRY(open_file(c, file));
    return map_file(c, *file, shared);
}

vgg_status comm_shared_open(comm *c, size_t bytes, comm_shared **out)
{
    *out = NULL;
    int file = -1;
    comm_shared *shared = calloc(1, sizeof *shared);
    if (shared) *shared = (comm_shared){.bytes = vgg_round_up(bytes > 0 ? bytes : 1, PAGE_BYTES), .alone = c->node_size == 1};
    vgg_status status = comm_agree(c, make_memory(c, shared, &file));
    if (status == VGG_OK) status = comm_agree(c, join_memory(c, shared, &file));
    if (file >= 0) close(file);
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
    (void)shared; /* a processor's order of reads and writes holds for all of its memory */
    atomic_thread_fence(memory_order_seq_cst);
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
    if (shared->alone)
        vgg_unmap(shared->memory, shared->bytes);
    else if (shared->memory)
        munmap(shared->memory, shared->bytes);
    free(shared);
}

/* Start and end of MPI, and the checked call. */
#include "comm/comm_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vgg11/base/cpu.h"

void mpi_check(int code, const char *call)
{
    if (code == MPI_SUCCESS) return;
    char host[256] = "?", reason[MPI_MAX_ERROR_STRING] = "?";
    int rank = -1, length;
    gethostname(host, sizeof host - 1);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Error_string(code, reason, &length);
    fprintf(stderr, "vgg11_dist: rank %d on %s: %s failed: %s\n", rank, host, call, reason);
    MPI_Abort(MPI_COMM_WORLD, VGG_ERROR);
    abort();
}

int comm_launched_rank(void)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (!rank) rank = getenv("PMIX_RANK");
    return rank ? atoi(rank) : -1;
}

/* What launchers tell their tasks: how many they are. */
static const struct {
    const char *variable, *launcher, *advice;
} launchers[] = {
    {"SLURM_STEP_NUM_TASKS", "srun", "srun --mpi=pmix (srun --mpi=list shows what there is), or mpirun"},
    {"PMI_SIZE", "the launcher of another MPI", "the mpirun of the MPI that `vgg11_dist info` names"}, /* MPICH and its kin */
    {"MPI_LOCALNRANKS", "the launcher of another MPI", "the mpirun of the MPI that `vgg11_dist info` names"},
};

vgg_status comm_check_launcher(const comm *c)
{
    if (c->size > 1 || getenv("OMPI_COMM_WORLD_SIZE")) return VGG_OK;
    for (size_t i = 0; i < sizeof launchers / sizeof launchers[0]; i++) {
        const char *tasks = getenv(launchers[i].variable);
        if (tasks && atoi(tasks) > 1)
            return vgg_fail(VGG_UNAVAILABLE, "%s started %s tasks, but MPI sees one alone: use %s", launchers[i].launcher, tasks,
                            launchers[i].advice);
    }
    return VGG_OK;
}

/* Where it is short of address space, Open MPI 4.1 crashes in MPI_Init() or waits for ever in MPI_Finalize(). It takes some 200 MiB,
 * much of it for its threads, and maps 4 MiB of each rank of the node. */
static vgg_status check_address_space(void)
{
    enum { OWN_MIB = 240, RANK_MIB = 5 };
    const char *ranks = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    size_t left = cpu_address_space_left_bytes() >> 20, needed = OWN_MIB + RANK_MIB * (ranks ? (size_t)atoi(ranks) : 1);
    char host[256] = "?";
    gethostname(host, sizeof host - 1);
    if (left >= needed) return VGG_OK;
    return vgg_fail(
        VGG_UNAVAILABLE,
        "%s: a rank needs %zu MiB more of address space to start MPI, and its limit (ulimit -v) leaves %zu MiB; raise the "
        "limit",
        host, needed, left);
}

static void read_library_version(comm *c)
{
    int length = 0;
    MPI_CALL(MPI_Get_library_version, c->library, &length);
    c->library[strcspn(c->library, ",\n")] = '\0';
}

static vgg_status open_world(comm *c, int thread_level)
{
    MPI_CALL(MPI_Comm_set_errhandler, MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_CALL(MPI_Comm_dup, MPI_COMM_WORLD, &c->world);
    MPI_CALL(MPI_Comm_set_errhandler, c->world, MPI_ERRORS_RETURN);
    MPI_CALL(MPI_Comm_rank, c->world, &c->rank);
    MPI_CALL(MPI_Comm_size, c->world, &c->size);
    gethostname(c->host, sizeof c->host - 1);
    read_library_version(c);

    vgg_status status = VGG_OK;
    if (thread_level < MPI_THREAD_FUNNELED)
        status = vgg_fail(VGG_UNAVAILABLE, "%s gives no MPI_THREAD_FUNNELED: use a build with thread support", c->library);
    VGG_TRY(comm_agree(c, status));
    return nodes_open(c);
}

vgg_status comm_open(int *argc, char ***argv, comm **out)
{
    *out = NULL;
    VGG_TRY(check_address_space());
    comm *c = calloc(1, sizeof *c);
    if (!c) return vgg_fail(VGG_UNAVAILABLE, "no memory for the communicator");
    c->world = c->node = MPI_COMM_NULL;
    int thread_level = MPI_THREAD_SINGLE;
    MPI_CALL(MPI_Init_thread, argc, argv, MPI_THREAD_FUNNELED, &thread_level);
    vgg_status status = open_world(c, thread_level);
    if (status != VGG_OK) {
        comm_close(c);
        return status;
    }
    *out = c;
    return VGG_OK;
}

void comm_close(comm *c)
{
    nodes_close(c);
    if (c->world != MPI_COMM_NULL) MPI_CALL(MPI_Comm_free, &c->world);
    free(c);
    MPI_Finalize();
}

int comm_rank(const comm *c) { return c->rank; }
int comm_size(const comm *c) { return c->size; }
int comm_node_rank(const comm *c) { return c->node_rank; }
int comm_node_size(const comm *c) { return c->node_size; }
int comm_node_index(const comm *c) { return c->node_index; }
int comm_node_count(const comm *c) { return c->node_count; }
const char *comm_host(const comm *c) { return c->host; }
const char *comm_library_version(const comm *c) { return c->library; }

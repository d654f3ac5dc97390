/* Which ranks share memory. */
#include "comm/comm_impl.h"

#include <errno.h>
#include <stdlib.h>

/* The artificial node of this rank when VGG11_TEST_NODES, e.g. "3,2", cuts one machine into nodes of these sizes, so that
 * what happens between nodes can be tested on one. -1 if the sizes do not add up to the number of ranks. */
static int artificial_node(const comm *c, const char *sizes)
{
    long end = 0;
    int mine = -1;
    for (int node = 0; *sizes; node++) {
        char *rest;
        errno = 0;
        long ranks = strtol(sizes, &rest, 10);
        if (rest == sizes || errno || ranks < 1 || ranks > c->size || (*rest && *rest != ',')) return -1;
        end += ranks;
        if (mine < 0 && c->rank < end) mine = node;
        sizes = *rest ? rest + 1 : rest;
    }
    return end == c->size ? mine : -1;
}

static vgg_status split_artificially(comm *c, const char *sizes)
{
    int colour = artificial_node(c, sizes);
    vgg_status status = VGG_OK;
    if (colour < 0)
        status = vgg_fail(VGG_BAD_OPTION, "VGG11_TEST_NODES=%s: give ranks per node, e.g. \"3,2\", that add up to %d", sizes,
                          c->size);
    VGG_TRY(comm_agree(c, status));
    MPI_Comm machine = c->node;
    MPI_CALL(MPI_Comm_split, machine, colour, c->rank, &c->node);
    MPI_CALL(MPI_Comm_free, &machine);
    return VGG_OK;
}

/* Numbers the nodes by their lowest rank: `leaders` holds for each rank the lowest rank of its node. */
static void number_nodes(comm *c, const int *leaders)
{
    for (int rank = 0; rank < c->size; rank++) {
        bool leads = leaders[rank] == rank;
        c->node_of[rank] = leads ? c->node_count++ : c->node_of[leaders[rank]];
        c->node_sizes[c->node_of[rank]]++;
    }
    c->node_index = c->node_of[c->rank];
}

static vgg_status make_map(comm *c)
{
    int *leaders = malloc((size_t)c->size * sizeof *leaders);
    c->node_of = calloc((size_t)c->size, sizeof *c->node_of);
    c->node_sizes = calloc((size_t)c->size, sizeof *c->node_sizes);
    vgg_status status = VGG_OK;
    c->gathered = malloc((size_t)c->size * COMM_SUM_BATCH * sizeof *c->gathered);
    if (!leaders || !c->node_of || !c->node_sizes || !c->gathered)
        status = vgg_fail(VGG_UNAVAILABLE, "no memory for the map of %d ranks", c->size);
    status = comm_agree(c, status);
    if (status == VGG_OK) {
        int leader = c->rank;
        MPI_CALL(MPI_Bcast, &leader, 1, MPI_INT, 0, c->node);
        MPI_CALL(MPI_Allgather, &leader, 1, MPI_INT, leaders, 1, MPI_INT, c->world);
        number_nodes(c, leaders);
    }
    free(leaders);
    return status;
}

vgg_status nodes_open(comm *c)
{
    MPI_CALL(MPI_Comm_split_type, c->world, MPI_COMM_TYPE_SHARED, c->rank, MPI_INFO_NULL, &c->node);
    const char *set = getenv("VGG11_TEST_NODES"), *sizes = set ? set : "";
    VGG_TRY(comm_agree_text(c, "VGG11_TEST_NODES", sizes));
    if (*sizes) VGG_TRY(split_artificially(c, sizes));
    MPI_CALL(MPI_Comm_rank, c->node, &c->node_rank);
    MPI_CALL(MPI_Comm_size, c->node, &c->node_size);
    return make_map(c);
}

void nodes_close(comm *c)
{
    if (c->node != MPI_COMM_NULL) MPI_CALL(MPI_Comm_free, &c->node);
    free(c->node_of);
    free(c->node_sizes);
    free(c->gathered);
}

#include "dist/lanes.h"

#include <stdlib.h>

#include "dist/rank_sum.h"

/* Floats that on this node lie in the slice of rank `owner`. */
typedef struct {
    vgg_range floats;
    int owner;
} lane_piece;

struct lanes {
    MPI_Comm ranks; /* this lane's rank of each node, in order of nodes; MPI_COMM_NULL: this rank has no lane */
    bool are_slices;
    size_t stride;  /* floats from one rank's gradient to the next */
    vgg_range floats;
    lane_piece *pieces;
    size_t piece_count;
    rank_sum *sum;
};

static int smallest_node(const comm *c)
{
    int smallest = c->node_sizes[0];
    for (int node = 1; node < c->node_count; node++)
        if (c->node_sizes[node] < smallest) smallest = c->node_sizes[node];
    return smallest;
}

/* The first float after `at` where some node's slice, or a message's longest, ends. */
static size_t next_cut(const exchange *ex, size_t at)
{
    size_t next = at + MPI_CHUNK;
    for (int node = 0; node < ex->c->node_count; node++) {
        size_t ranks = (size_t)ex->c->node_sizes[node];
        for (size_t rank = 0; rank < ranks; rank++) {
            vgg_range slice = blocks_floats(&ex->blocks, blocks_part(&ex->blocks, ranks, rank));
            size_t end = slice.first + slice.count;
            if (end > at && end < next) next = end;
        }
    }
    return next;
}

/* The rank of this node whose slice holds float `at`. */
static int slice_owner(const exchange *ex, size_t at)
{
    size_t ranks = (size_t)ex->c->node_size;
    int owner = 0;
    for (size_t rank = 0; rank < ranks; rank++)
        if (blocks_floats(&ex->blocks, blocks_part(&ex->blocks, ranks, rank)).first <= at) owner = (int)rank;
    return owner;
}

static vgg_status cut_pieces(const exchange *ex, lanes *between)
{
    size_t end = between->floats.first + between->floats.count;
    size_t most = 0;
    for (size_t at = between->floats.first; at < end; at = next_cut(ex, at)) most++;
    between->pieces = malloc(most * sizeof *between->pieces + 1);
    if (!between->pieces) return vgg_fail(VGG_UNAVAILABLE, "no memory for %zu pieces", most);
    for (size_t at = between->floats.first; at < end;) {
        size_t next = next_cut(ex, at);
        if (next > end) next = end;
        between->pieces[between->piece_count++] = (lane_piece){{at, next - at}, slice_owner(ex, at)};
        at = next;
    }
    return VGG_OK;
}

vgg_status lanes_open(exchange *ex, lanes **out)
{
    comm *c = ex->c;
    int lane_count = smallest_node(c);
    bool equal = lane_count * c->node_count == c->size, mine = c->node_rank < lane_count;
    if (ex->config.slices > 0 && !equal)
        return vgg_fail(VGG_DECLINED, "with --slices it needs the same number of ranks on every node");
    lanes *between = calloc(1, sizeof *between);
    vgg_status status = VGG_OK;
    if (!between) status = vgg_fail(VGG_UNAVAILABLE, "no memory for the exchange between nodes");
    VGG_TRY(comm_agree(c, status));
    *out = between;
    between->ranks = MPI_COMM_NULL;
    between->are_slices = equal;
    between->stride = ex->config.count;
    MPI_CALL(MPI_Comm_split, c->world, mine ? c->node_rank : MPI_UNDEFINED, c->node_index, &between->ranks);
    if (mine) {
        between->floats = blocks_floats(&ex->blocks, blocks_part(&ex->blocks, (size_t)lane_count, (size_t)c->node_rank));
        status = cut_pieces(ex, between);
        if (status == VGG_OK) status = rank_sum_open(ex, between->ranks, between->floats.count, &between->sum);
    }
    return comm_agree(c, status);
}

void lanes_close(lanes *between)
{
    if (!between) return;
    rank_sum_close(between->sum);
    if (between->ranks != MPI_COMM_NULL) MPI_CALL(MPI_Comm_free, &between->ranks);
    free(between->pieces);
    free(between);
}

bool lanes_are_slices(const lanes *between) { return between->are_slices; }

void lanes_sum(lanes *between, float *gradients)
{
    for (size_t i = 0; i < between->piece_count; i++) {
        const lane_piece *piece = &between->pieces[i];
        float *data = gradients + (size_t)piece->owner * between->stride + piece->floats.first;
        rank_sum_run(between->sum, data, piece->floats.first - between->floats.first, piece->floats.count);
    }
}

void lanes_broadcast(const lanes *between, float *buffer)
{
    for (size_t i = 0; i < between->piece_count; i++) {
        vgg_range floats = between->pieces[i].floats;
        MPI_CALL(MPI_Bcast, buffer + floats.first, (int)floats.count, MPI_FLOAT, 0, between->ranks);
    }
}

size_t lanes_bytes_sent(const lanes *between) { return between ? rank_sum_bytes_sent(between->sum) : 0; }
size_t lanes_memory_bytes(const lanes *between) { return between ? rank_sum_memory_bytes(between->sum) : 0; }

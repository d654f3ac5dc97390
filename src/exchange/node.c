/* Each node has one set of weights and velocity in shared memory, where the gradients of its ranks lie, too. Each rank adds up its
 * shard by reading the other ranks' gradients in place, and updates its shard alone. Between nodes, what is final is summed bucket
 * by bucket during the backward pass. On one node everything is added up after it: nothing is gained by moving the same bytes
 * earlier. */
#include "exchange/exchange_impl.h"
#include "exchange/internode.h"
#include "exchange/tree_sum.h"

#include <stdlib.h>

#include "vgg11/base/memory.h"

typedef struct {
    comm_shared *gradients; /* [node_size][count] */
    comm_shared *weights;   /* [count] */
    comm_shared *velocity;  /* [count] */
    comm_shared *sums;      /* [blocks]: sums of squares, doubles */
    const float **sources;  /* [node_size]: each rank's gradient */
    vgg_range shard;        /* the blocks that this rank adds up and updates */
    internode *between;     /* NULL: there is one node */
} node_state;

static double *block_sums(const node_state *node) { return comm_shared_memory(node->sums); }

/* A barrier of the node, after which all its ranks see what each has written to shared memory. */
static void node_sync(exchange *ex)
{
    node_state *node = ex->state;
    comm_shared *blocks[] = {node->gradients, node->weights, node->velocity, node->sums, ex->node_scratch};
    double start = span_start(ex->spans);
    for (size_t i = 0; i < 4 + (ex->node_scratch != NULL); i++) shared_fence(blocks[i]);
    comm_node_barrier(ex->c);
    for (size_t i = 0; i < 4 + (ex->node_scratch != NULL); i++) shared_fence(blocks[i]);
    span_end(ex->spans, start, "wait for node's ranks");
}

static vgg_status open_memory(exchange *ex, node_state *node)
{
    comm *c = ex->c;
    size_t ranks = (size_t)c->node_size, bytes = ex->config.count * sizeof(float), sums = ex->blocks.count * sizeof(double);
    VGG_TRY(comm_shared_open(c, ranks * bytes, &node->gradients));
    VGG_TRY(comm_shared_open(c, bytes, &node->weights));
    VGG_TRY(comm_shared_open(c, bytes, &node->velocity));
    VGG_TRY(comm_shared_open(c, sums, &node->sums));
    ex->gradient = (float *)comm_shared_memory(node->gradients) + (size_t)c->node_rank * ex->config.count;
    ex->weights = comm_shared_memory(node->weights);
    ex->velocity = comm_shared_memory(node->velocity);
    for (size_t rank = 0; rank < ranks; rank++)
        node->sources[rank] = (float *)comm_shared_memory(node->gradients) + rank * ex->config.count;
    ex->cost.memory_node_bytes = (ranks + 2) * bytes + sums + (ex->node_scratch ? ex->config.node_scratch_bytes : 0);
    return VGG_OK;
}

/* A shard is read from every rank's gradient and written once; its squares are summed while it is in the cache. Then the update
 * reads it, and reads and writes weights and velocity, also those of excluded segments. */
static void count_cost(exchange *ex)
{
    const node_state *node = ex->state;
    size_t ranks = (size_t)ex->c->node_size, shard = ex->config.count / ranks * sizeof(float);
    size_t summed = blocks_summed_floats(&ex->blocks, node->shard) * sizeof(float);
    ex->cost.bytes_touched = (ranks + 2) * summed + 4 * shard;
    ex->cost.bytes_sent = internode_bytes_sent(node->between);
    ex->cost.memory_rank_bytes = internode_memory_bytes(node->between);
}

static vgg_status node_open(exchange *ex)
{
    comm *c = ex->c;
    node_state *node = calloc(1, sizeof *node);
    vgg_status status = VGG_OK;
    ex->state = node;
    if (node) node->sources = calloc((size_t)c->node_size, sizeof *node->sources);
    if (!node || !node->sources) status = vgg_fail(VGG_UNAVAILABLE, "no memory for the node exchange");
    VGG_TRY(comm_agree(c, status));
    if (c->node_count > 1) VGG_TRY(internode_open(ex, node->sources, &node->between));
    VGG_TRY(open_memory(ex, node));
    node->shard = blocks_part(&ex->blocks, (size_t)c->node_size, (size_t)c->node_rank);
    ex->owned = blocks_floats(&ex->blocks, node->shard);
    ex->first_micro_batch = c->node_rank;
    for (int earlier = 0; earlier < c->node_index; earlier++) ex->first_micro_batch += c->node_sizes[earlier];
    count_cost(ex);
    return VGG_OK;
}

static void node_close(exchange *ex)
{
    node_state *node = ex->state;
    if (!node) return;
    internode_close(node->between);
    comm_shared_close(node->sums);
    comm_shared_close(node->velocity);
    comm_shared_close(node->weights);
    comm_shared_close(node->gradients);
    free(node->sources);
    free(node);
}

/* Adds up all ranks' gradients in this rank's shard. Each block's squares are summed while it is still in the cache. */
static void add_own_shard(exchange *ex)
{
    node_state *node = ex->state;
    double *sums = block_sums(node), start = span_start(ex->spans);
#pragma omp parallel for schedule(static) num_threads(ex->config.threads)
    for (size_t i = node->shard.first; i < node->shard.first + node->shard.count; i++) {
        const float_block *block = &ex->blocks.blocks[i];
        sums[i] = 0;
        if (block->excluded) continue;
        float *sum = ex->gradient + block->first;
        sum_tree(sum, node->sources, ex->c->node_size, block->first, block[1].first - block->first);
        sums[i] = square_sum(sum, block->count);
    }
    span_end(ex->spans, start, "sum over node");
}

static void finish_lanes(exchange *ex, internode *between)
{
    node_state *node = ex->state;
    double start = span_start(ex->spans);
    internode_add_rest(between);
    span_end(ex->spans, start, "sum over node");
    if (!internode_lanes_are_shards(between)) node_sync(ex);
    start = span_start(ex->spans);
    internode_wait(between);
    span_end(ex->spans, start, "wait for messages");
    if (!internode_lanes_are_shards(between)) node_sync(ex);
    start = span_start(ex->spans);
    blocks_square_sums(&ex->blocks, ex->gradient, node->shard, ex->config.threads, block_sums(node));
    span_end(ex->spans, start, "squares");
}

static void node_begin(exchange *ex)
{
    node_state *node = ex->state;
    if (node->between) internode_begin(node->between);
}

static void node_range_final(exchange *ex, size_t first, size_t count)
{
    node_state *node = ex->state;
    if (node->between) internode_range_final(node->between, (vgg_range){first, count});
}

static void node_poll(exchange *ex)
{
    node_state *node = ex->state;
    if (node->between) internode_poll(node->between);
}

static void node_finish(exchange *ex)
{
    node_state *node = ex->state;
    node_sync(ex);
    if (node->between)
        finish_lanes(ex, node->between);
    else
        add_own_shard(ex);
}

static const double *node_square_sums(exchange *ex)
{
    node_sync(ex);
    return block_sums(ex->state);
}

static void node_distribute(exchange *ex, float *buffer)
{
    const node_state *node = ex->state;
    node_sync(ex);
    if (!node->between) return;
    internode_broadcast(node->between, buffer);
    node_sync(ex);
}

static void node_collect(exchange *ex, float *buffer)
{
    (void)buffer;
    node_sync(ex);
}

const exchange_functions exchange_node = {
    .open = node_open,
    .close = node_close,
    .begin = node_begin,
    .range_final = node_range_final,
    .poll = node_poll,
    .finish = node_finish,
    .square_sums = node_square_sums,
    .publish = node_sync,
    .distribute = node_distribute,
    .collect = node_collect,
};

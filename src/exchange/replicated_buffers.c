/* The buffers of strategies in which each rank has a copy of everything. */
#include "exchange/exchange_impl.h"

#include "vgg11/base/memory.h"

/* The least that an all-reduce costs: all elements except a rank's own part are sent once to be added (two reads, a write) and once
 * to be stored (a read, a write). Then the norm reads them, and the update reads them and reads and writes weights and velocity. */
static void count_cost(exchange *ex, size_t bytes)
{
    vgg_range all = {0, ex->blocks.count};
    size_t ranks = (size_t)ex->c->size, summed = blocks_summed_floats(&ex->blocks, all) * sizeof(float);
    size_t moved = summed / ranks * (ranks - 1);
    ex->cost.bytes_sent = 2 * moved;
    ex->cost.bytes_touched = 5 * moved + 2 * summed + 4 * bytes;
    ex->cost.memory_rank_bytes = 3 * bytes;
}

vgg_status replicated_buffers_open(exchange *ex)
{
    float **buffers[] = {&ex->gradient, &ex->weights, &ex->velocity};
    size_t bytes = ex->config.count * sizeof(float);
    vgg_status status = VGG_OK;
    for (size_t i = 0; i < 3 && status == VGG_OK; i++) {
        void *memory = NULL;
        status = vgg_map(bytes, &memory);
        *buffers[i] = memory;
    }
    ex->owned = (vgg_range){0, ex->config.count};
    ex->first_micro_batch = ex->c->rank;
    count_cost(ex, bytes);
    return comm_agree(ex->c, status);
}

void replicated_buffers_close(exchange *ex)
{
    size_t bytes = ex->config.count * sizeof(float);
    if (ex->gradient) vgg_unmap(ex->gradient, bytes);
    if (ex->weights) vgg_unmap(ex->weights, bytes);
    if (ex->velocity) vgg_unmap(ex->velocity, bytes);
}

void replicated_buffers_distribute(exchange *ex, float *buffer)
{
    comm_broadcast(ex->c, buffer, ex->config.count * sizeof(float), 0);
}

const double *replicated_buffers_square_sums(exchange *ex)
{
    vgg_range all = {0, ex->blocks.count};
    blocks_square_sums(&ex->blocks, ex->gradient, all, ex->config.threads, ex->blocks.sums);
    return ex->blocks.sums;
}

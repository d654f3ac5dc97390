/* The check of weights and velocity, of which each rank has a copy or, with some strategies, each node. */
#include "exchange/exchange_impl.h"
#include "vgg11/comm/replica.h"

static const char *const checked_names[EXCHANGE_CHECKED] = {"weights", "velocity"};

/* The blocks that this rank hashes: all or, where the ranks of a node share a copy, a part of it, and in each check another one, so
 * that what one rank has written is read by others. */
static vgg_range own_blocks(const exchange *ex)
{
    const comm *c = ex->c;
    size_t blocks = replica_blocks(ex->config.count);
    if (!ex->row->shares_memory) return (vgg_range){0, blocks};
    return range_part(blocks, (size_t)c->node_size, ((size_t)c->node_rank + ex->checks) % (size_t)c->node_size);
}

static void hash_buffers(exchange *ex, uint64_t hashes[EXCHANGE_CHECKED])
{
    const float *buffers[EXCHANGE_CHECKED] = {ex->weights, ex->velocity};
    vgg_range blocks = own_blocks(ex);
    for (int i = 0; i < EXCHANGE_CHECKED; i++) hashes[i] = replica_hash(buffers[i], ex->config.count, blocks, ex->config.threads);
    if (ex->row->shares_memory) comm_node_sum_u64(ex->c, hashes, EXCHANGE_CHECKED);
}

vgg_status exchange_check(exchange *ex)
{
    uint64_t hashes[EXCHANGE_CHECKED];
    bool known = ex->known;
    hash_buffers(ex, hashes);
    ex->checks++;
    ex->known = true;
    for (int i = 0; i < EXCHANGE_CHECKED; i++) {
        replica_finding mine = {hashes[i], known && hashes[i] != ex->hashes[i]};
        ex->hashes[i] = hashes[i];
        VGG_TRY(replica_compare(ex->c, checked_names[i], mine, ex->row->shares_memory));
    }
    return VGG_OK;
}

/* Sums over each node and between nodes, bucket by bucket during the backward pass, for the node exchange.
 *
 * A shard of the buffer is what one rank adds up on its node. A lane is what one rank of each node sums between nodes: there are as
 * many lanes as the smallest node has ranks, and rank l of each node exchanges lane l with ranks l of the other nodes. Where all
 * nodes have equally many ranks, lane l is the shard of rank l; else a lane overlaps shards of several ranks. Shards and lanes are
 * cut into buckets, which are the same on all nodes. A bucket is added up on each node when all ranks of the node have called it
 * final, and is then summed between nodes. */
#ifndef VGG11_EXCHANGE_INTERNODE_H
#define VGG11_EXCHANGE_INTERNODE_H

#include "exchange/exchange_impl.h"

typedef struct internode internode;

/* Collective, for more than one node. gradients[node_size][count] must be set from the first step on, in memory that the node's
 * ranks share: the sum of rank r's shard is made in gradients[r]. VGG_DECLINED if there are micro-batches and the nodes differ in
 * size; VGG_UNAVAILABLE without memory. internode_close() frees (NULL is fine), and is collective. */
vgg_status internode_open(exchange *ex, const float *const *gradients, internode **out);
void internode_close(internode *between);

/* Whether each rank's lane is its shard, so that no rank writes to another's shard. */
bool internode_lanes_are_shards(const internode *between);

/* A step: internode_begin(); internode_range_final() for all of the buffer, and internode_poll() now and then. When all ranks of
 * the node have passed a barrier after their last range was final: internode_add_rest(), which adds up the rest of this rank's
 * shard; where lanes are not shards, another barrier; internode_wait(), which ends the sum of this rank's lane. */
void internode_begin(internode *between);
void internode_range_final(internode *between, vgg_range floats);
void internode_poll(internode *between);
void internode_add_rest(internode *between);
void internode_wait(internode *between);

/* Copies the buffer of node 0 to all other nodes; each rank copies its lane. */
void internode_broadcast(const internode *between, float *buffer);

/* Bytes that this rank sends in a step, and bytes of its private memory; 0 for NULL. */
size_t internode_bytes_sent(const internode *between);
size_t internode_memory_bytes(const internode *between);

#endif

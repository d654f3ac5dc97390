/* Sums over a node and between nodes, bucket by bucket while the backward walk goes on, for the node exchange.
 *
 * The buffer is cut into as many lanes as the smallest node has ranks; rank l of each node exchanges lane l with its like on
 * all other nodes. Where all nodes are equally large, a lane is just the shard that its rank adds on its node; else a lane is
 * spread over shards of several ranks. Shards and lanes are cut into buckets, alike on all nodes; each is added on its node when
 * all of the node's ranks have said that it is final, and then goes between nodes. */
#ifndef VGG11_EXCHANGE_INTERNODE_H
#define VGG11_EXCHANGE_INTERNODE_H

#include "exchange/exchange_impl.h"

typedef struct internode internode;

/* gradients[node_size][count], from the first step on, in memory that the node's ranks share: rank r's shard becomes the sum in
 * gradients[r]. Collective, for more than one node. VGG_DECLINED where micro-batches are asked for and nodes are unequal. internode_close() frees (NULL
 * is fine), collective too. */
vgg_status internode_open(exchange *ex, const float *const *gradients, internode **out);
void internode_close(internode *between);

/* Each rank's lane is what its shard is: no rank touches another's shard. */
bool internode_lanes_are_shards(const internode *between);

/* A step: internode_begin(), internode_range_final() for all of the buffer, internode_poll() now and then, and at its end, when all ranks
 * of the node have seen the node's barrier since their last range was final, internode_add_rest(); and, where lanes are not shards,
 * another barrier; internode_wait(). */
void internode_begin(internode *between);
void internode_range_final(internode *between, vgg_range floats);
void internode_poll(internode *between);
void internode_add_rest(internode *between);
void internode_wait(internode *between);

/* Copies node 0's buffer to the other nodes, each rank its lane. */
void internode_broadcast(const internode *between, float *buffer);

/* Per rank and step; 0 for NULL. */
size_t internode_bytes_sent(const internode *between);
size_t internode_memory_bytes(const internode *between);

#endif

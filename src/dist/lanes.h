/* Sums over a node and between nodes, piece by piece while the backward walk goes on, for the node exchange.
 *
 * The buffer is cut into as many lanes as the smallest node has ranks; rank l of each node exchanges lane l with its like on
 * all other nodes. Where all nodes are equally large, a lane is just the slice that its rank adds on its node; else a lane is
 * spread over slices of several ranks. Slices and lanes are cut into pieces, alike on all nodes; each is added on its node when
 * all of the node's ranks have said that it is final, and then goes between nodes. */
#ifndef VGG11_DIST_LANES_H
#define VGG11_DIST_LANES_H

#include "dist/exchange_impl.h"

typedef struct lanes lanes;

/* gradients[node_size][count], from the first step on, in memory that the node's ranks share: rank r's slice becomes the sum in
 * gradients[r]. Collective, for more than one node. VGG_DECLINED where slices are asked for and nodes are unequal. lanes_close() frees (NULL
 * is fine), collective too. */
vgg_status lanes_open(exchange *ex, const float *const *gradients, lanes **out);
void lanes_close(lanes *between);

/* Each rank's lane is what its slice is: no rank touches another's slice. */
bool lanes_are_slices(const lanes *between);

/* A step: lanes_begin(), lanes_range_final() for all of the buffer, lanes_poll() now and then, and at its end, when all ranks
 * of the node have seen the node's barrier since their last range was final, lanes_add_rest(); and, where lanes are not slices,
 * another barrier; lanes_wait(). */
void lanes_begin(lanes *between);
void lanes_range_final(lanes *between, vgg_range floats);
void lanes_poll(lanes *between);
void lanes_add_rest(lanes *between);
void lanes_wait(lanes *between);

/* Copies node 0's buffer to the other nodes, each rank its lane. */
void lanes_broadcast(const lanes *between, float *buffer);

/* Per rank and step; 0 for NULL. */
size_t lanes_bytes_sent(const lanes *between);
size_t lanes_memory_bytes(const lanes *between);

#endif

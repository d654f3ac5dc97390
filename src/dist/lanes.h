/* Sums between nodes, for the node exchange.
 *
 * The buffer is cut into as many lanes as the smallest node has ranks; rank l of each node exchanges lane l with its like on
 * all other nodes. Where all nodes are equally large, a lane is just the slice that its rank has added; else a lane is spread
 * over slices of several ranks, and cut so that on every node a piece lies within one slice. */
#ifndef VGG11_DIST_LANES_H
#define VGG11_DIST_LANES_H

#include "dist/exchange_impl.h"

typedef struct lanes lanes;

/* Collective, for more than one node. VGG_DECLINED where slices are asked for and nodes are unequal. lanes_close() frees (NULL
 * is fine), collective too. */
vgg_status lanes_open(exchange *ex, lanes **out);
void lanes_close(lanes *between);

/* Each rank's lane is what its slice is: no rank touches another's slice. */
bool lanes_are_slices(const lanes *between);

/* Replaces the sums over each node by the sum over nodes. gradients[node_size][count]: rank r's slice lies in gradients[r]. */
void lanes_sum(lanes *between, float *gradients);

/* Copies node 0's buffer to the other nodes, each rank its lane. */
void lanes_broadcast(const lanes *between, float *buffer);

/* Per rank and sum; 0 for NULL. */
size_t lanes_bytes_sent(const lanes *between);
size_t lanes_memory_bytes(const lanes *between);

#endif

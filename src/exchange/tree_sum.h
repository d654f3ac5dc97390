/* Sums of float arrays in a fixed order.
 *
 * The order is a balanced binary tree over the sources, ((s0 + s1) + (s2 + s3)) + ... Where their number is no power of two, the
 * left branch is the largest full tree that leaves something for the right one. The sum of a full subtree may be made elsewhere
 * first, by another rank or from earlier micro-batches, without a change of bits. */
#ifndef VGG11_EXCHANGE_TREE_SUM_H
#define VGG11_EXCHANGE_TREE_SUM_H

#include <stddef.h>

#include "vgg11/base/range.h"

/* out[i] = a[i] + b[i]; out may be a or b. */
void sum_pair(float *out, const float *a, const float *b, size_t count);

/* out[i] = tree sum over k < source_count of sources[k][first + i], i < count. out may be sources[k] + first for some k. */
void sum_tree(float *out, const float *const *sources, int source_count, size_t first, size_t count);

/* out[i] = tree sum over k < source_count of sources[k][floats.first + i], i < floats.count. OpenMP-parallel. */
void sum_tree_by_threads(float *out, const float *const *sources, int source_count, vgg_range floats, int threads);

#endif

/* Sums of float arrays in a fixed order.
 *
 * The order is a balanced binary tree over the sources, ((s0 + s1) + (s2 + s3)) + ...: where their number is no power of two,
 * the left branch is the largest full tree that leaves something for the right. A full subtree may be added anywhere first (in
 * another rank, in an earlier micro-batch) without a change of bits. */
#ifndef VGG11_EXCHANGE_TREE_SUM_H
#define VGG11_EXCHANGE_TREE_SUM_H

#include <stddef.h>

#include "vgg11/base/range.h"

/* out[i] = a[i] + b[i]; out may be a or b. */
void sum_pair(float *out, const float *a, const float *b, size_t count);

/* out[i] = tree sum over k < source_count of sources[k][i], first <= i < first + count. out may be one of the sources. */
void sum_tree(float *out, const float *const *sources, int source_count, size_t first, size_t count);

/* The same over `floats` of the sources, OpenMP-parallel. */
void sum_tree_by_threads(float *out, const float *const *sources, int source_count, vgg_range floats, int threads);

#endif

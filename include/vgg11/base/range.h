/* Ranges of indices, and their fair division. */
#ifndef VGG11_BASE_RANGE_H
#define VGG11_BASE_RANGE_H

#include <stddef.h>

#include "vgg11/base/integers.h"

typedef struct {
    size_t first;
    size_t count;
} vgg_range;

/* Part `index` of `parts` of the range 0..total-1: contiguous, disjoint, complete, sizes differing by at most one, the
 * larger parts first. parts >= 1, 0 <= index < parts. */
static inline vgg_range range_part(size_t total, size_t parts, size_t index)
{
    size_t small = total / parts;
    size_t larger = total % parts;
    vgg_range part;
    part.first = index * small + (index < larger ? index : larger);
    part.count = small + (index < larger);
    return part;
}

/* The indices that are in both; count is 0 if there are none. */
static inline vgg_range range_intersection(vgg_range a, vgg_range b)
{
    size_t first = size_max(a.first, b.first), end = size_min(a.first + a.count, b.first + b.count);
    return (vgg_range){first, end > first ? end - first : 0};
}

/* How many indices are in both. */
static inline size_t range_common(vgg_range a, vgg_range b) { return range_intersection(a, b).count; }

#endif

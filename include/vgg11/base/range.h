/* Ranges of indices, and their fair division. */
#ifndef VGG11_BASE_RANGE_H
#define VGG11_BASE_RANGE_H

#include <stddef.h>

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

/* How many indices are in both. */
static inline size_t range_common(vgg_range a, vgg_range b)
{
    size_t first = a.first > b.first ? a.first : b.first;
    size_t a_end = a.first + a.count, b_end = b.first + b.count, end = a_end < b_end ? a_end : b_end;
    return end > first ? end - first : 0;
}

#endif

/* The flat buffer cut into fixed blocks, and the sums of squares within them.
 *
 * Blocks depend on the segments alone, never on ranks or threads, and each is summed in fixed lanes: whoever sums a block gets
 * the same bits. A rank's share of the buffer is a run of whole blocks. */
#ifndef VGG11_EXCHANGE_BLOCKS_H
#define VGG11_EXCHANGE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

#include "vgg11/base/range.h"
#include "vgg11/base/status.h"

/* 64 KiB: still in the second-level cache when it is summed right after having been written. */
enum { BLOCK_FLOATS = 16384 };

/* No segment's: a gap between segments, which has to be moved but not summed. */
#define BLOCK_NO_SEGMENT ((size_t)-1)

typedef struct {
    size_t first;   /* multiple of 16; a block ends where the next begins */
    size_t count;   /* its segment's floats in it; the rest is padding */
    size_t segment; /* index, or BLOCK_NO_SEGMENT */
    bool excluded;  /* its gradient is not in the buffer: never summed, its square sum 0 */
    size_t before;  /* floats of blocks before it that are not apart */
} float_block;

typedef struct {
    float_block *blocks; /* [count + 1]: a last one of no floats marks the end */
    size_t count;
    double *sums; /* [count]: sum of squares of each, in memory of this process */
} block_table;

/* `apart` as exchange_config has it. */
vgg_status blocks_open(block_table *table, size_t floats, const vgg_range *segments, const bool *excluded, size_t segment_count);
void blocks_close(block_table *table);

/* Part `index` of `parts` of the blocks: a run of them with about as many floats to be summed as any other; may be empty. */
vgg_range blocks_part(const block_table *table, size_t parts, size_t index);

/* Floats of a run of blocks that are not apart. */
size_t blocks_summed_floats(const block_table *table, vgg_range blocks);

/* The floats of a run of blocks. */
vgg_range blocks_floats(const block_table *table, vgg_range blocks);

/* sums[i] = sum of squares of block i of values (the whole flat buffer), for the blocks of `run`. OpenMP-parallel. */
void blocks_square_sums(const block_table *table, const float *values, vgg_range run, int threads, double *sums);

/* Sum of squares of count floats, in double, in a fixed order. */
double square_sum(const float *values, size_t count);

/* segment_sums[segment] = its blocks' sums, added in order. */
void blocks_add_segments(const block_table *table, const double *sums, double *segment_sums, size_t segment_count);

#endif

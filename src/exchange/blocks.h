/* The flat buffer cut into fixed blocks, and the sums of squares within them.
 *
 * Blocks depend on the segments alone, never on ranks or threads, and each is summed in fixed SIMD lanes, so that every rank that
 * sums a block gets the same bits. A rank's shard of the buffer is a range of whole blocks. */
#ifndef VGG11_EXCHANGE_BLOCKS_H
#define VGG11_EXCHANGE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

#include "vgg11/base/range.h"
#include "vgg11/base/status.h"

/* 64 KiB: a block is still in the level-2 cache when its squares are summed right after it was written. */
enum { BLOCK_FLOATS = 16384 };

/* The segment of a block that lies in a gap between segments, which is exchanged, but in no sum of squares. */
#define BLOCK_NO_SEGMENT ((size_t)-1)

typedef struct {
    size_t first;   /* its first float, a multiple of 16; a block ends where the next begins */
    size_t count;   /* floats of its segment in it; the rest is padding */
    size_t segment; /* index, or BLOCK_NO_SEGMENT */
    bool excluded;  /* its gradient is not in the buffer: it is never summed, and its square sum is 0 */
    size_t before;  /* floats of all blocks before it that are not excluded */
} float_block;

typedef struct {
    float_block *blocks; /* [count + 1]: the last has no floats and marks the end */
    size_t count;
    double *sums; /* [count]: sums of squares of the blocks, private to this rank */
} block_table;

/* Cuts `floats` floats into blocks. segments and excluded (or NULL) are those of exchange_config. VGG_UNAVAILABLE without memory;
 * blocks_close() frees, also a zeroed table. */
vgg_status blocks_open(block_table *table, size_t floats, const vgg_range *segments, const bool *excluded, size_t segment_count);
void blocks_close(block_table *table);

/* Part `index` of `parts` of the blocks: a range, possibly empty, with about as many floats that are not excluded as any other
 * part. */
vgg_range blocks_part(const block_table *table, size_t parts, size_t index);

/* How many floats of a range of blocks are not excluded. */
size_t blocks_summed_floats(const block_table *table, vgg_range blocks);

/* The floats of a range of blocks. */
vgg_range blocks_floats(const block_table *table, vgg_range blocks);

/* sums[i] = sum of squares of block i of values (the whole flat buffer), 0 if it is excluded, for i of `blocks`.
 * OpenMP-parallel. */
void blocks_square_sums(const block_table *table, const float *values, vgg_range blocks, int threads, double *sums);

/* Sum of squares of count floats, in double precision and in a fixed order. */
double square_sum(const float *values, size_t count);

/* segment_sums[segment] = the sum of its blocks' sums, added in order. */
void blocks_add_segments(const block_table *table, const double *sums, double *segment_sums, size_t segment_count);

#endif

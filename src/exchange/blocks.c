#include "exchange/blocks.h"

#include <stdlib.h>

#include "vgg11/base/integers.h"
#include "vgg11/base/memory.h"

enum { CUT_FLOATS = 16, BLOCKS_AT_ONCE = 4 };

/* Appends the blocks of floats first .. end-1 (both multiples of 16), of which the first `used` are the segment's. */
static void append(block_table *table, size_t first, size_t end, size_t used, size_t segment, bool excluded)
{
    for (size_t at = first; at < end; at += BLOCK_FLOATS) {
        size_t floats = size_min(end - at, BLOCK_FLOATS);
        size_t rest = used - size_min(at - first, used);
        float_block *block = &table->blocks[table->count++];
        *block = (float_block){at, size_min(rest, floats), segment, excluded, block->before};
        block[1].before = block->before + (excluded ? 0 : floats);
    }
}

vgg_status blocks_open(block_table *table, size_t floats, const vgg_range *segments, const bool *excluded, size_t segment_count)
{
    size_t most = floats / BLOCK_FLOATS + 2 * segment_count + 2;
    *table = (block_table){.blocks = calloc(most, sizeof *table->blocks), .sums = calloc(most, sizeof *table->sums)};
    if (!table->blocks || !table->sums) {
        blocks_close(table);
        return vgg_fail(VGG_UNAVAILABLE, "no memory for a table of %zu blocks", most);
    }
    size_t at = 0;
    for (size_t i = 0; i < segment_count; i++) {
        size_t end = vgg_round_up(segments[i].first + segments[i].count, CUT_FLOATS);
        append(table, at, segments[i].first, 0, BLOCK_NO_SEGMENT, false);
        append(table, segments[i].first, end, segments[i].count, i, excluded && excluded[i]);
        at = end;
    }
    append(table, at, floats, 0, BLOCK_NO_SEGMENT, false);
    table->blocks[table->count] = (float_block){floats, 0, BLOCK_NO_SEGMENT, false, table->blocks[table->count].before};
    return VGG_OK;
}

void blocks_close(block_table *table)
{
    free(table->blocks);
    free(table->sums);
    *table = (block_table){0};
}

/* The first block with `target` floats or more before it that are not excluded. */
static size_t block_at(const block_table *table, size_t target)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (table->blocks[middle].before < target)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

vgg_range blocks_part(const block_table *table, size_t parts, size_t index)
{
    vgg_range target = range_part(table->blocks[table->count].before, parts, index);
    size_t first = block_at(table, target.first);
    return (vgg_range){first, block_at(table, target.first + target.count) - first};
}

vgg_range blocks_floats(const block_table *table, vgg_range blocks)
{
    size_t first = table->blocks[blocks.first].first;
    return (vgg_range){first, table->blocks[blocks.first + blocks.count].first - first};
}

size_t blocks_summed_floats(const block_table *table, vgg_range blocks)
{
    return table->blocks[blocks.first + blocks.count].before - table->blocks[blocks.first].before;
}

void blocks_square_sums(const block_table *table, const float *values, vgg_range blocks, int threads, double *sums)
{
#pragma omp parallel for schedule(dynamic, BLOCKS_AT_ONCE) num_threads(threads)
    for (size_t i = blocks.first; i < blocks.first + blocks.count; i++)
        sums[i] = table->blocks[i].excluded ? 0 : square_sum(values + table->blocks[i].first, table->blocks[i].count);
}

void blocks_add_segments(const block_table *table, const double *sums, double *segment_sums, size_t segment_count)
{
    for (size_t segment = 0; segment < segment_count; segment++) segment_sums[segment] = 0;
    for (size_t i = 0; i < table->count; i++)
        if (table->blocks[i].segment != BLOCK_NO_SEGMENT) segment_sums[table->blocks[i].segment] += sums[i];
}

/* How maps are cut into tiles, where their elements lie in memory, and the transform of source maps. */
#include "conv/winograd.h"

#include <stdint.h>

/* BLOCK_TILES tiles, or a few less so that they are whole gemm tiles, make a tile block. More share the transform of the weights,
 * and their sums are read and written less often in the weight gradient; fewer leave more of the L2 cache to the rest. 72 was
 * faster than 30, 48, 96 and 144, and takes half of an L1 cache of 32 KiB for one element. */
enum { PER_WORD_MAX = 2, BLOCK_TILES = 72, L3_BLOCK_BYTES = 3 << 20 };

/* A shard is large enough if its tiles fill SHARD_ROW_TILES gemm tiles. Shards of ENOUGH_IMAGES images or more may differ by
 * one. */
enum { SHARD_ROW_TILES = 4, ENOUGH_IMAGES = 16 };

size_t winograd_words(const winograd_shape *shape, size_t count) { return size_divide_up(count, (size_t)shape->kernels->per_word); }

/* A tile block holds whole words: the tiles of a word are never in different blocks. */
static void cut_tile_blocks(winograd_shape *shape)
{
    size_t rows = (size_t)shape->kernels->rows;
    shape->block_tiles = size_min(BLOCK_TILES / rows * rows, shape->tiles);
    shape->block_tiles = winograd_words(shape, shape->block_tiles) * (size_t)shape->kernels->per_word;
    shape->tile_blocks = size_divide_up(shape->tiles, shape->block_tiles);
}

winograd_shape winograd_shape_of(const conv_plan *plan, size_t n)
{
    const conv_problem *p = &plan->problem;
    bool transposed = plan->pass == CONV_INPUT_GRAD;
    const winograd_transforms *transforms = plan->state;
    winograd_shape s = {.kernels = transforms->kernels, .transforms = transforms, .side = p->side};
    s.in = (size_t)(transposed ? p->out : p->in);
    s.out = (size_t)(transposed ? p->in : p->out);
    s.map_tiles = (size_t)int_divide_up(p->side, s.transforms->tile);
    s.tiles = n * s.map_tiles * s.map_tiles;
    cut_tile_blocks(&s);
    return s;
}

bool winograd_shards_pay(const winograd_shape *shape, size_t threads)
{
    size_t per_map = shape->map_tiles * shape->map_tiles, images = shape->tiles / per_map, least = images / threads;
    bool even = images % threads == 0 || least >= ENOUGH_IMAGES;
    return threads > 1 && even && least * per_map >= (size_t)shape->kernels->rows * SHARD_ROW_TILES;
}

winograd_shape winograd_shard(const winograd_shape *shape, size_t shards, size_t index)
{
    winograd_shape shard = *shape;
    size_t per_map = shape->map_tiles * shape->map_tiles;
    vgg_range images = range_part(shape->tiles / per_map, shards, index);
    shard.first_tile = images.first * per_map;
    shard.tiles = images.count * per_map;
    cut_tile_blocks(&shard);
    return shard;
}

winograd_layout winograd_layout_of(const winograd_shape *shape, size_t channels, size_t width, winograd_reduction reduction)
{
    size_t per_word = (size_t)shape->kernels->per_word;
    winograd_layout layout = {.width = width, .channels = width, .tiles = 1};
    if (reduction == REDUCE_CHANNELS)
        layout.channels *= per_word;
    else
        layout.tiles *= per_word;
    layout.channel_blocks = size_divide_up(channels, layout.channels);
    layout.element_stride = shape->block_tiles / layout.tiles * width + WINOGRAD_LINE_FLOATS;
    layout.channel_block_stride = (size_t)shape->transforms->elements * layout.element_stride;
    layout.tile_block_stride = layout.channel_blocks * layout.channel_block_stride;
    return layout;
}

size_t winograd_layout_floats(const winograd_shape *shape, const winograd_layout *layout)
{
    return shape->l3_tile_blocks * layout->tile_block_stride;
}

void winograd_set_l3_block(winograd_shape *shape, size_t tile_block_floats, size_t sum_floats)
{
    size_t tile_blocks = size_max(sum_floats, L3_BLOCK_BYTES / sizeof(float)) / tile_block_floats;
    shape->l3_tile_blocks = size_max(1, size_min(tile_blocks, shape->tile_blocks));
}

vgg_range winograd_l3_block(const winograd_shape *shape, size_t first)
{
    return (vgg_range){first, size_min(shape->tile_blocks - first, shape->l3_tile_blocks)};
}

vgg_range winograd_tile_block(const winograd_shape *shape, size_t tile_block)
{
    size_t first = tile_block * shape->block_tiles;
    return (vgg_range){shape->first_tile + first, size_min(shape->tiles - first, shape->block_tiles)};
}

size_t winograd_map_bytes(const winograd_maps *maps, size_t numbers)
{
    return numbers * (maps->bf16 ? sizeof(uint16_t) : sizeof(float));
}

size_t winograd_offset(const winograd_shape *shape, const winograd_maps *maps, size_t index, size_t channel)
{
    size_t side = (size_t)(maps->pooled ? shape->side / 2 : shape->side);
    return index / (shape->map_tiles * shape->map_tiles) * side * side * maps->channels + channel;
}

map_tile winograd_tile(const winograd_shape *shape, const winograd_maps *maps, size_t index, size_t channel, size_t width)
{
    size_t place = index % (shape->map_tiles * shape->map_tiles);
    size_t first = winograd_offset(shape, maps, index, channel);
    map_tile tile = {.side = shape->side, .channels = maps->channels, .count = size_min(maps->channels - channel, width)};
    tile.map = (const char *)maps->values + winograd_map_bytes(maps, first);
    tile.bf16 = maps->bf16;
    tile.pooled = maps->pooled;
    tile.pool_argmax = maps->pool_argmax ? maps->pool_argmax + first : NULL;
    tile.row = (int)(place / shape->map_tiles) * shape->transforms->tile;
    tile.column = (int)(place % shape->map_tiles) * shape->transforms->tile;
    return tile;
}

/* Transforms row i of the L3 block: one tile, or as many as a word holds. A tile that the last word lacks counts as zeros. */
static inline void transform_row(const winograd_shape *shape, const winograd_layout *layout, vgg_range l3_block,
                                 const winograd_maps *maps, winograd_transform_function transform, int margin, float *elements,
                                 size_t i)
{
    size_t first = i * layout->tiles, tile_block = first / shape->block_tiles;
    size_t row = first % shape->block_tiles / layout->tiles;
    vgg_range tiles = winograd_tile_block(shape, l3_block.first + tile_block);
    float *to = elements + tile_block * layout->tile_block_stride + row * layout->width;
    for (size_t b = 0; b < layout->channel_blocks; b++) {
        map_tile tile[PER_WORD_MAX];
        for (size_t t = 0; t < layout->tiles; t++) {
            size_t at = row * layout->tiles + t;
            bool there = at < tiles.count;
            tile[t] = winograd_tile(shape, maps, tiles.first + (there ? at : 0), b * layout->channels,
                                    there ? layout->channels : 0);
            tile[t].row -= margin;
            tile[t].column -= margin;
        }
        transform(to + b * layout->channel_block_stride, layout->element_stride, tile, layout->width);
    }
}

static size_t l3_block_rows(const winograd_shape *shape, const winograd_layout *layout, vgg_range l3_block)
{
    size_t tiles = (l3_block.count - 1) * shape->block_tiles +
                   winograd_tile_block(shape, l3_block.first + l3_block.count - 1).count;
    return size_divide_up(tiles, layout->tiles);
}

void winograd_transform_alone(const winograd_shape *shape, const winograd_layout *layout, vgg_range l3_block,
                              const winograd_maps *maps, winograd_transform_function transform, int margin, float *elements)
{
    for (size_t i = 0, rows = l3_block_rows(shape, layout, l3_block); i < rows; i++)
        transform_row(shape, layout, l3_block, maps, transform, margin, elements, i);
}

void winograd_transform(const winograd_shape *shape, const winograd_layout *layout, vgg_range l3_block, const winograd_maps *maps,
                        winograd_transform_function transform, int margin, float *elements)
{
    size_t rows = l3_block_rows(shape, layout, l3_block);
#pragma omp for schedule(guided)
    for (size_t i = 0; i < rows; i++) transform_row(shape, layout, l3_block, maps, transform, margin, elements, i);
}

/* Convolution with transformed operands (Winograd's minimal filtering and its kin): what its passes and its rows have in common.
 *
 * A map is cut into square tiles of outputs. A transform turns the inputs of a tile into `elements` numbers for each channel; the
 * convolution is then one matrix product for each element, over tiles and channels, and an inverse transform makes the outputs from
 * the products (Lavin & Gray, arXiv:1509.09308). The elements of a map lie in memory as the products read them, in blocks of tiles
 * and of channels: [tile block][channel block][element][tile of the block][channel of the block]. They are never all in memory at
 * once: a pass goes through one L3 block, as many tile blocks as the L3 cache holds, after the other.
 */
#ifndef VGG11_CONV_WINOGRAD_H
#define VGG11_CONV_WINOGRAD_H

#include "vgg11/kernels/gemm.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/range.h"
#include "vgg11/conv/conv.h"

/* Words (see simd_kernels) in a row of a channel block: one element of a tile block then takes at most 18 KiB, half of the L1
 * cache. */
enum { WINOGRAD_DEPTH = 64 };

/* A cache line of floats, added to the strides of elements so that they are no multiples of a large power of two: the elements of
 * one tile would otherwise fall into the same sets of a cache. */
enum { WINOGRAD_LINE_FLOATS = 16 };

typedef struct {
    const simd_kernels *kernels;
    const winograd_transforms *transforms;
    int side;
    size_t in, out;        /* channels of the pass' source and result; in the weight gradient, of x and of dy */
    size_t map_tiles;      /* tiles along a side of a map */
    size_t first_tile;     /* index of the first tile: 0, or that of a shard's first image */
    size_t tiles;          /* of all images, or of the shard's */
    size_t block_tiles;    /* tiles of a tile block; the last block may have fewer */
    size_t tile_blocks;    /* of all images, or of the shard's */
    size_t l3_tile_blocks; /* tile blocks of an L3 block; the last L3 block may have fewer */
} winograd_shape;

/* The index over which the products that read a map's elements sum. Numbers that are neighbours along it make a word. */
typedef enum { REDUCE_CHANNELS, REDUCE_TILES } winograd_reduction;

/* Where the elements of one map lie in memory; strides are in words. */
typedef struct {
    size_t width;    /* words in a row of a channel block; the last channel block is filled up with zeros */
    size_t channels; /* channels in a row: `width`, times the numbers of a word where products sum over channels */
    size_t tiles;    /* tiles in a row: 1, or the numbers of a word where products sum over tiles */
    size_t channel_blocks;
    size_t element_stride;
    size_t channel_block_stride;
    size_t tile_block_stride;
} winograd_layout;

/* The shape of a pass over `n` images, whose L3 blocks winograd_set_l3_block() has to set next. */
winograd_shape winograd_shape_of(const conv_plan *plan, size_t n);

/* Sets the size of the L3 blocks. One tile block has `tile_block_floats` floats of elements in all maps that are transformed. Sums
 * of `sum_floats` floats are read and written again for each L3 block, so that it has at least as many floats of elements. */
void winograd_set_l3_block(winograd_shape *shape, size_t tile_block_floats, size_t sum_floats);

/* Whether it is faster that each of `threads` threads goes through a shard of the images by itself, without barriers. Each then
 * transforms the whole kernel, which is worth it if shards are large enough and nearly equal. */
bool winograd_shards_pay(const winograd_shape *shape, size_t threads);

/* The shape of shard `index` of `shards`: the images are cut as by range_part(). */
winograd_shape winograd_shard(const winograd_shape *shape, size_t shards, size_t index);

/* The layout of a map of `channels` channels, in rows of `width` words, for products that sum over `reduction`. */
winograd_layout winograd_layout_of(const winograd_shape *shape, size_t channels, size_t width, winograd_reduction reduction);

/* Words that hold `count` numbers which are neighbours along the summed index. */
size_t winograd_words(const winograd_shape *shape, size_t count);

/* Floats that the elements of one L3 block take. */
size_t winograd_layout_floats(const winograd_shape *shape, const winograd_layout *layout);

/* The tile blocks of the L3 block that begins with tile block `first`; and the tiles of a tile block, as indices among those of all
 * images. */
vgg_range winograd_l3_block(const winograd_shape *shape, size_t first);
vgg_range winograd_tile_block(const winograd_shape *shape, size_t tile_block);

/* The source or the result of a pass: the maps of all images. */
typedef struct {
    const void *values; /* floats, or bfloat16 if `bf16` */
    bool bf16;
    const uint8_t *pool_argmax; /* of pooled maps that are read, laid out like `values`; else NULL */
    bool pooled;                /* `values` are those of the pooled map */
    size_t channels;
} winograd_maps;

/* Size in bytes of `numbers` numbers of the maps. */
size_t winograd_map_bytes(const winograd_maps *maps, size_t numbers);

/* Tile `index` of the maps, its channels from `channel` on: `width` of them, or as many as there are. With width 0 the tile has
 * none, and its transform is zero. */
map_tile winograd_tile(const winograd_shape *shape, const winograd_maps *maps, size_t index, size_t channel, size_t width);

/* Offset in numbers, from the first of the maps, of channel `channel` of the first pixel of the image that holds tile `index`. */
size_t winograd_offset(const winograd_shape *shape, const winograd_maps *maps, size_t index, size_t channel);

/* Transform the tiles of an L3 block, reading from `margin` pixels before each tile's outputs on. winograd_transform() is to be
 * called by all threads of a parallel region and ends with a barrier; winograd_transform_alone() does all of it on the calling
 * thread. */
typedef void (*winograd_transform_function)(float *elements, size_t stride, const map_tile *tiles, size_t padded);
void winograd_transform_alone(const winograd_shape *shape, const winograd_layout *layout, vgg_range l3_block,
                              const winograd_maps *maps, winograd_transform_function transform, int margin, float *elements);
void winograd_transform(const winograd_shape *shape, const winograd_layout *layout, vgg_range l3_block, const winograd_maps *maps,
                        winograd_transform_function transform, int margin, float *elements);

/* Fill the plan of forward or input gradient, or of a weight gradient. plan->state is the row's winograd_transforms. */
void winograd_plan_forward(conv_plan *plan);
void winograd_plan_weight_grad(conv_plan *plan);

#endif

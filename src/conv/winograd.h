/* Convolution by a bilinear algorithm (Winograd's and its kin): what its passes and its rows shard.
 *
 * The source map, cut into tiles, is transform to elements[element][tile][channel]; then every element is one matrix product, and the
 * results are collected from the elements. Points lie in memory as the products read them: by tile blocks of tiles and channel blocks of
 * channels, [tile block][channel block][element][tile of tile block][channel of channel block], for one L3 block of tile blocks after the other.
 */
#ifndef VGG11_CONV_WINOGRAD_H
#define VGG11_CONV_WINOGRAD_H

#include "vgg11/kernels/gemm.h"
#include "vgg11/base/range.h"
#include "vgg11/conv/conv.h"

/* Words in a row of a channel block of the source's elements: with the rows of a tile block 16 KiB, half the L1 cache. */
enum { WINOGRAD_DEPTH = 64 };

/* Strides of transforms are not multiples of a power of two, by this. */
enum { WINOGRAD_LINE_FLOATS = 16 };

static inline size_t minimum(size_t a, size_t b) { return a < b ? a : b; }

typedef struct {
    const simd_kernels *kernels;
    const winograd_transforms *form;
    int side;
    size_t in, out;     /* channels of the pass' source and result; of x and dy in the weight gradient */
    size_t map_tiles;   /* along a side */
    size_t first_tile;  /* 0, but in a shard */
    size_t tiles;       /* of all images, or of a shard's */
    size_t block_tiles; /* in each tile block but the last */
    size_t tile_blocks;
    size_t l3_tile_blocks; /* tile blocks whose elements are in memory together: as many as the L3 cache holds */
} winograd_shape;

/* Over what the products sum that read a map's elements: there, numbers pair up to words. */
typedef enum { REDUCE_CHANNELS, REDUCE_TILES } winograd_reduction;

/* Where the elements of one map lie. Strides in words, not multiples of a power of two, so that the elements of a tile do not
 * fall into the same cache set. */
typedef struct {
    size_t width;    /* words in a row of a channel block; the last channel block is filled up with zeros */
    size_t channels; /* in a row */
    size_t tiles;    /* in a row */
    size_t channel_blocks;
    size_t element_stride;
    size_t channel_block_stride;
    size_t tile_block_stride;
} winograd_layout;

/* Of a pass over `n` images. To be followed by winograd_set_l3_block(), with the floats of one tile block in all maps to be transform,
 * and those that have to be read and written once for each further L3 block. */
winograd_shape winograd_shape_of(const conv_plan *plan, size_t n);

/* Whether `threads` threads had better have images of their own, each passing through without a word to the others: there are
 * enough in each for the kernel's transform to be worth it, and about as many in each. */
bool winograd_shards_pay(const winograd_shape *shape, size_t threads);

/* Part `index` of `parts` of the images. */
winograd_shape winograd_shard(const winograd_shape *shape, size_t parts, size_t index);

winograd_layout winograd_layout_of(const winograd_shape *shape, size_t channels, size_t width, winograd_reduction sum);

/* Words that hold `count` numbers of the summed index. */
size_t winograd_words(const winograd_shape *shape, size_t count);
void winograd_set_l3_block(winograd_shape *shape, size_t tile_block_floats, size_t kept_floats);
size_t winograd_layout_floats(const winograd_shape *shape, const winograd_layout *layout);

/* Groups of the L3 block that begins with tile block `first`, and the tiles of a tile block. */
vgg_range winograd_l3_block(const winograd_shape *shape, size_t first);
vgg_range winograd_tile_block(const winograd_shape *shape, size_t tile_block);

/* Maps of all images: a pass' source or result. */
typedef struct {
    const void *values; /* floats, or bfloat16 if `bf16` */
    bool bf16;
    const uint8_t *pool_argmax; /* of pooled maps that are read */
    bool pooled;
    size_t channels;
} winograd_maps;

/* Bytes of so many numbers of the maps. */
size_t winograd_map_bytes(const winograd_maps *maps, size_t numbers);

/* Tile `index` of the maps (any for width 0), from channel `channel` on, `width` or as many as there are. */
map_tile winograd_tile(const winograd_shape *shape, const winograd_maps *maps, size_t index, size_t channel, size_t width);

/* Where that tile's corner lies: numbers from the maps' first. */
size_t winograd_offset(const winograd_shape *shape, const winograd_maps *maps, size_t index, size_t channel);

/* Transforms an L3 block's tiles of the maps with one of the form's two functions, whose tiles begin `margin` pixels before the outputs.
 * winograd_transform() is to be called by all threads of a parallel region, and ends with a barrier; winograd_transform_alone() does all
 * of it. */
typedef void (*winograd_transform_function)(float *elements, size_t stride, const map_tile *tiles, size_t padded);
void winograd_transform_alone(const winograd_shape *shape, const winograd_layout *layout, vgg_range l3_block,
                              const winograd_maps *maps, winograd_transform_function transform, int margin, float *elements);
void winograd_transform(const winograd_shape *shape, const winograd_layout *layout, vgg_range l3_block, const winograd_maps *maps,
                        winograd_transform_function transform, int margin, float *elements);

/* Fill the plan of a pass whose state is the row's winograd_transforms: forward and input gradient, or the weight gradient. */
void winograd_plan_forward(conv_plan *plan);
void winograd_plan_weight_grad(conv_plan *plan);

#endif

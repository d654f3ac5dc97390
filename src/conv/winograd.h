/* Convolution by a bilinear algorithm (Winograd's and its kin): what its passes and its rows share.
 *
 * The source map, cut into tiles, is spread to points[point][tile][channel]; then every point is one matrix product, and the
 * results are collected from the points. Points lie in memory as the products read them: by groups of tiles and blocks of
 * channels, [group][block][point][tile of group][channel of block], for one wave of groups after the other.
 */
#ifndef VGG11_CONV_WINOGRAD_H
#define VGG11_CONV_WINOGRAD_H

#include "vgg11/kernels/gemm.h"
#include "vgg11/base/range.h"
#include "vgg11/conv/conv.h"

/* Words in a row of a block of the source's points: with the rows of a group 16 KiB, half the L1 cache. */
enum { WINOGRAD_DEPTH = 64 };

static inline size_t minimum(size_t a, size_t b) { return a < b ? a : b; }

typedef struct {
    const simd_kernels *kernels;
    const winograd_transforms *form;
    int side;
    size_t in, out;        /* channels of the pass' source and result; of x and dy in the weight gradient */
    size_t map_tiles;      /* along a side */
    size_t first_tile;     /* 0, but in a share */
    size_t tiles;          /* of all images, or of a share's */
    size_t group_tiles;    /* in each group but the last */
    size_t groups;
    size_t wave_groups;    /* groups whose points are in memory together: as many as the L3 cache holds */
} winograd_shape;

/* Over what the products sum that read a map's points: there, numbers pair up to words. */
typedef enum { REDUCE_CHANNELS, REDUCE_TILES } winograd_reduction;

/* Where the points of one map lie. Strides in words, not multiples of a power of two, so that the points of a tile do not
 * fall into the same cache set. */
typedef struct {
    size_t width;          /* words in a row of a block; the last block is filled up with zeros */
    size_t channels;       /* in a row */
    size_t tiles;          /* in a row */
    size_t blocks;
    size_t point_stride;
    size_t block_stride;
    size_t group_stride;
} winograd_layout;

/* Of a pass over `n` images. To be followed by winograd_set_l3_block(), with the floats of one group in all maps to be spread,
 * and those that have to be read and written once for each further wave. */
winograd_shape winograd_shape_of(const conv_plan *plan, size_t n);

/* Whether `threads` threads had better have images of their own, each passing through without a word to the others: there are
 * enough in each for the kernel's transform to be worth it, and about as many in each. */
bool winograd_shards_pay(const winograd_shape *shape, size_t threads);

/* Part `index` of `parts` of the images. */
winograd_shape winograd_shard(const winograd_shape *shape, size_t parts, size_t index);

winograd_layout winograd_layout_of(const winograd_shape *shape, size_t channels, size_t width, winograd_reduction sum);

/* Words that hold `count` numbers of the summed index. */
size_t winograd_words(const winograd_shape *shape, size_t count);
void winograd_set_l3_block(winograd_shape *shape, size_t group_floats, size_t kept_floats);
size_t winograd_layout_floats(const winograd_shape *shape, const winograd_layout *layout);

/* Groups of the wave that begins with group `first`, and the tiles of a group. */
vgg_range winograd_l3_block(const winograd_shape *shape, size_t first);
vgg_range winograd_tile_block(const winograd_shape *shape, size_t group);

/* Maps of all images: a pass' source or result. */
typedef struct {
    const void *values;    /* floats, or bfloat16 if `narrow` */
    bool narrow;
    const uint8_t *chosen; /* of pooled maps that are read */
    bool pooled;
    size_t channels;
} winograd_maps;

/* Tile `index` of the maps (any for width 0), from channel `channel` on, `width` or as many as there are. */
map_tile winograd_tile(const winograd_shape *shape, const winograd_maps *maps, size_t index, size_t channel, size_t width);

/* Where that tile's corner lies: numbers from the maps' first. */
size_t winograd_offset(const winograd_shape *shape, const winograd_maps *maps, size_t index, size_t channel);

/* Spreads a wave's tiles of the maps with one of the form's two functions, whose tiles begin `margin` pixels before the outputs.
 * winograd_transform() is to be called by all threads of a parallel region, and ends with a barrier; winograd_transform_alone() does all
 * of it. */
typedef void (*winograd_transform_function)(float *points, size_t stride, const map_tile *tiles, size_t padded);
void winograd_transform_alone(const winograd_shape *shape, const winograd_layout *layout, vgg_range wave, const winograd_maps *maps,
                           winograd_transform_function spread, int margin, float *points);
void winograd_transform(const winograd_shape *shape, const winograd_layout *layout, vgg_range wave, const winograd_maps *maps,
                     winograd_transform_function spread, int margin, float *points);

/* Fills a plan of a row that uses `form`, one of the table of simd_kernels_select(). */
void winograd_plan(conv_plan *plan, const winograd_transforms *form);
void winograd_plan_weight_grad(conv_plan *plan);

#endif

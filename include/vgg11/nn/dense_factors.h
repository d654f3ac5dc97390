/* Gradients of dense kernels, kept as their factors.
 *
 * dw[C][K] is the sum over images of the outer product of x[n][C] and dy[n][K], so that it is determined by n (C + K) numbers, its
 * factors (the "sufficient factors" of Xie et al., arXiv:1511.08486). Where the ranks of a job share memory, each writes the
 * factors of its images into one common block of it. dw is never in memory as a whole: the rank that updates a tile of w computes
 * that tile of dw when it does so. The norm of dw comes from inner products of the factors:
 *   |dw|^2 = sum over images i, j of (x_i . x_j) (dy_i . dy_j)
 * Images lie in the block in the order of the batch, whichever rank wrote them, so that all ranks compute with the same numbers in
 * the same order. NaN and Inf pass through. The terms of the sum may cancel, where the images' gradients do, so that it is taken in
 * double precision: see factors_read_square_sums() for its error.
 */
#ifndef VGG11_NN_DENSE_FACTORS_H
#define VGG11_NN_DENSE_FACTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/range.h"
#include "vgg11/base/status.h"
#include "vgg11/nn/model.h"
#include "vgg11/nn/network.h"

typedef struct factor_set factor_set;

typedef struct {
    vgg_precision precision;
    size_t images; /* most images in a batch, over all ranks */
    size_t ranks;
} factors_config;

/* Decides which layers' gradients are kept as factors, and their layout. VGG_DECLINED, with the reason, where whole gradients are
 * faster for all layers or this processor does not multiply bf16 pairs; VGG_UNAVAILABLE without memory. factors_close() frees (NULL
 * is fine). */
vgg_status factors_open(const factors_config *config, factor_set **out);
void factors_close(factor_set *f);

/* A hash of the layout in common memory, which must be the same on all ranks. It may differ where their processors do. */
uint64_t factors_layout(const factor_set *f);

/* Size of the common block, which has to be 64-byte aligned. */
size_t factors_bytes(const factor_set *f);

/* Whether the kernel's gradient of layer 0..MODEL_LAYERS-1 is kept as factors. f may be NULL: no layer's is. */
bool factors_hold(const factor_set *f, int layer);

/* One batch, whose images are cut among the ranks by range_part(). */
struct factor_batch {
    const factor_set *f;
    void *memory; /* the common block, factors_bytes() */
    size_t images;
    size_t rank; /* the caller's */
    int threads; /* OpenMP threads */
};

/* Writes the factors of the caller's images, x[n][in] and dy[n][out] in the network's precision, n >= 1. */
void factors_write(const factor_batch *batch, int layer, const void *x, const void *dy);

/* A hash of what the caller has written of a layer: the same wherever the block lies. */
uint64_t factors_hash(const factor_batch *batch, int layer);

/* Adds up this rank's part of the square sums into the block. To be called by all ranks, when all have written their factors. */
void factors_reduce_square_sums(const factor_batch *batch);

/* sums[tensor] = |dw|^2 of every kernel in factors; other entries are left. To be called when all ranks have called
 * factors_reduce_square_sums(). The same bits on every rank and with any instruction set; never negative. With m = sum over images
 * n of |x_n| |dy_n| its error is at most
 *   (in + out + images^2) 2^-53 m^2,
 * however much the images' gradients cancel: the norm is off by less than m / 2^19 in batches of up to 128 images, where rounding
 * dw itself to single precision may take images m / 2^24 from it. Infinite where m is no longer a float, since a sum within dw may
 * then be infinite too. */
void factors_read_square_sums(const factor_batch *batch, double sums[MODEL_TENSORS]);

/* A tile of dw: at most so many rows and columns. Columns begin at a multiple of FACTOR_COLUMNS. */
enum { FACTOR_ROWS = 14, FACTOR_COLUMNS = 512 };
typedef struct {
    vgg_range rows;
    vgg_range columns;
} factor_tile;

/* The rows of dw that the caller computes and applies. */
vgg_range factor_rows(const factor_batch *batch, int layer);

/* The tiles that rows `rows` of a layer's dw are cut into. */
size_t factor_tile_count(int layer, vgg_range rows);
factor_tile factor_tile_at(int layer, vgg_range rows, size_t index);

/* Computes a tile of dw on the calling thread: values[i * FACTOR_COLUMNS + j], 64-byte aligned, is row rows.first + i, column
 * columns.first + j. Meanwhile tile `next` (or NULL) of two arrays laid out like dw is prefetched into the level-2 cache. */
void factors_multiply(const factor_batch *batch, int layer, const factor_tile *tile, const factor_tile *next,
                      const float *const arrays[2], float *values);

#endif

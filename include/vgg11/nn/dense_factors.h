/* Gradients of dense kernels, kept as their factors.
 *
 * dw[C][K] is the sum over images of the outer product of x[n][C] and dy[n][K]: n images say all of it in n (C + K) numbers
 * (the "sufficient factors" of Xie et al., arXiv:1511.08486). Where the ranks of a job share memory, each writes the factors of
 * its images into one block of it, and dw is never written as a whole, nor read to be summed, measured and applied: whoever
 * updates a tile of w makes that tile of dw just then. Its norm comes from products of the factors among themselves:
 *   |dw|^2 = sum over images i, j of (x_i . x_j) (dy_i . dy_j)
 * Images lie in the block in the order of the batch, whichever rank wrote them, so all ranks compute with the same numbers in
 * the same order. NaN and Inf pass through.
 * That sum may cancel to a small part of its terms, as when the images' gradients do, so it is taken in double precision: see
 * factors_read_square_sums() for its error.
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
    size_t images; /* most in one batch, over all ranks */
    size_t ranks;
} factors_config;

/* VGG_DECLINED, with the reason, where whole gradients are better: too many images, or no fitting products on this processor.
 * factors_close() frees (NULL is fine). */
vgg_status factors_open(const factors_config *config, factor_set **out);
void factors_close(factor_set *f);

/* Equal where two sets lie in common memory alike, as those of all ranks must. Unlike processors make it unlike. */
uint64_t factors_layout(const factor_set *f);

/* Of the common block, 64-byte aligned. */
size_t factors_bytes(const factor_set *f);

/* Whether layer 0..MODEL_LAYERS-1 has its kernel's gradient in factors. f may be NULL: none has. */
bool factors_hold(const factor_set *f, int layer);

/* One batch: its images are cut among the ranks by range_part(). */
struct factor_batch {
    const factor_set *f;
    void *memory; /* factors_bytes() */
    size_t images;
    size_t rank; /* the caller's */
    int threads; /* OpenMP */
};

/* Writes the factors of the caller's images (there is at least one): x[n][in], dy[n][out] in the network's precision. */
void factors_write(const factor_batch *batch, int layer, const void *x, const void *dy);

/* When all ranks have written: every rank adds up its share of the square sums into the block, ... */
void factors_reduce_square_sums(const factor_batch *batch);

/* ... and when all have done that, sums[tensor] = |dw|^2 of every kernel in factors; the same bits on every rank and with any
 * instruction set. Never negative. With m = sum over images n of |x_n| |dy_n| its error is at most
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

/* Rows of dw that are the caller's to make and to apply. */
vgg_range factor_rows(const factor_batch *batch, int layer);

/* The tiles that rows `rows` of a layer's dw are cut into. */
size_t factor_tile_count(int layer, vgg_range rows);
factor_tile factor_tile_at(int layer, vgg_range rows, size_t index);

/* Makes a tile: values[i * FACTOR_COLUMNS + j] is its row rows.first + i, column columns.first + j; 64-byte aligned. Meanwhile the
 * same places of tile `next` (or NULL) of two arrays laid out like dw are fetched into the level-2 cache. One thread's work. */
void factors_multiply(const factor_batch *batch, int layer, const factor_tile *tile, const factor_tile *next,
                      const float *const arrays[2], float *values);

#endif

/* Small functions that several convolution and dense algorithms share. None is parallel: a call runs on the calling thread
 * alone. */
#ifndef VGG11_CONV_PARTS_H
#define VGG11_CONV_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "vgg11/kernels/bf16.h"
#include "vgg11/base/range.h"

/* y[i][k] = relu(y[i][k] + b[k]) for a block of rows x columns whose rows lie `stride` floats apart. NaN stays NaN. */
void conv_add_bias(float *y, size_t stride, size_t rows, size_t columns, const float *b, bool relu);

/* total[k] = sum over rows i of values[i][k], for columns k of the range. Blocks of rows are summed, then their sums, so that long
 * sums keep their accuracy; the order is always the same. */
void conv_sum_rows(const float *values, size_t stride, size_t rows, vgg_range columns, float *total);
void conv_sum_rows_bf16(const bf16 *values, size_t stride, size_t rows, vgg_range columns, float *total);

/* A matrix cut into row tiles x column blocks, each of which is one task. */
typedef struct {
    size_t row_tiles;
    size_t column_blocks;
} conv_grid;

/* Cuts rows x columns into tasks so that `threads` threads have nearly equal work: by rows, at most `most_rows` a tile, if tiles
 * then keep at least `fewest_rows`; else by columns too, at least 16 a block. */
conv_grid conv_divide(size_t rows, size_t fewest_rows, size_t most_rows, size_t columns, size_t threads);

/* The columns of block `index`: multiples of 16 but for the last. */
vgg_range conv_column_block(size_t columns, size_t blocks, size_t index);

#endif

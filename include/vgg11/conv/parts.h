/* Small pieces that several convolution and dense algorithms share. Not parallel in themselves: each is one thread's work. */
#ifndef VGG11_CONV_PARTS_H
#define VGG11_CONV_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "vgg11/kernels/bf16.h"
#include "vgg11/base/range.h"

/* y[i][k] = relu(y[i][k] + b[k]) for a block of rows x columns whose rows lie `stride` floats apart. NaN stays NaN. */
void conv_add_bias(float *y, size_t stride, size_t rows, size_t columns, const float *b, bool relu);

/* total[k] = sum over rows of values[i][k], for columns k of the range: in blocks of rows, so that long sums keep their
 * accuracy, always in the same order. */
void conv_sum_rows(const float *values, size_t stride, size_t rows, vgg_range columns, float *total);
void conv_sum_rows_bf16(const bf16 *values, size_t stride, size_t rows, vgg_range columns, float *total);

/* A grid of row tiles x column blocks over a matrix, each cell one thread's work at a time. */
typedef struct {
    size_t row_tiles;
    size_t column_blocks;
} conv_grid;

/* Cuts rows x columns so that `threads` threads have equal work: by rows as long as tiles keep at least `fewest_rows`
 * (at most `most_rows`), else by columns, at least 16 each. How the matrix is cut changes no element's sum. */
conv_grid conv_divide(size_t rows, size_t fewest_rows, size_t most_rows, size_t columns, size_t threads);

/* The columns of block `index`: multiples of 16 but for the last. */
vgg_range conv_column_block(size_t columns, size_t blocks, size_t index);

#endif

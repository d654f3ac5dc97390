#include "vgg11/conv/parts.h"

#include <string.h>

#include "vgg11/base/integers.h"
#include "vgg11/kernels/bf16.h"

enum { COLUMN_UNIT = 16, SUM_ROWS = 256, SUM_COLUMNS = 64 };

void conv_add_bias(float *y, size_t stride, size_t rows, size_t columns, const float *b, bool relu)
{
    for (size_t i = 0; i < rows; i++, y += stride) {
        if (relu) {
            for (size_t k = 0; k < columns; k++) {
                float value = y[k] + b[k];
                y[k] = value < 0 ? 0 : value;
            }
        } else {
            for (size_t k = 0; k < columns; k++) y[k] += b[k];
        }
    }
}

/* `is_bf16`, a constant where this is inlined, says of what type the values are. */
static inline float value_at(const void *values, size_t index, bool is_bf16)
{
    return is_bf16 ? bf16_widen(((const bf16 *)values)[index]) : ((const float *)values)[index];
}

static inline void sum_columns(const void *values, bool is_bf16, size_t stride, size_t rows, vgg_range columns, float *total)
{
    memset(total, 0, columns.count * sizeof *total);
    for (size_t first = 0; first < rows; first += SUM_ROWS) {
        size_t end = size_min(first + SUM_ROWS, rows);
        float block[SUM_COLUMNS] = {0};
        for (size_t i = first; i < end; i++) {
            for (size_t k = 0; k < columns.count; k++) block[k] += value_at(values, i * stride + columns.first + k, is_bf16);
        }
        for (size_t k = 0; k < columns.count; k++) total[k] += block[k];
    }
}

static inline void sum_rows(const void *values, bool is_bf16, size_t stride, size_t rows, vgg_range columns, float *total)
{
    for (size_t done = 0; done < columns.count; done += SUM_COLUMNS) {
        vgg_range block = {columns.first + done, size_min(columns.count - done, SUM_COLUMNS)};
        sum_columns(values, is_bf16, stride, rows, block, total + block.first);
    }
}

void conv_sum_rows(const float *values, size_t stride, size_t rows, vgg_range columns, float *total)
{
    sum_rows(values, false, stride, rows, columns, total);
}

void conv_sum_rows_bf16(const bf16 *values, size_t stride, size_t rows, vgg_range columns, float *total)
{
    sum_rows(values, true, stride, rows, columns, total);
}

/* Whether tasks of equal size keep the threads busy: at the end they idle for at most a sixteenth of the time of all tasks. */
static bool even(size_t tasks, size_t threads) { return size_divide_up(tasks, threads) * threads * 16 <= tasks * 17; }

conv_grid conv_divide(size_t rows, size_t fewest_rows, size_t most_rows, size_t columns, size_t threads)
{
    conv_grid grid = {size_divide_up(rows, most_rows), 1};
    size_t rounded = size_divide_up(grid.row_tiles, threads) * threads;
    if (rows / rounded >= fewest_rows) {
        grid.row_tiles = rounded;
        return grid;
    }
    size_t most_blocks = size_divide_up(columns, COLUMN_UNIT);
    while (!even(grid.row_tiles * grid.column_blocks, threads) && grid.column_blocks < most_blocks) grid.column_blocks++;
    return grid;
}

vgg_range conv_column_block(size_t columns, size_t blocks, size_t index)
{
    vgg_range units = range_part(size_divide_up(columns, COLUMN_UNIT), blocks, index);
    size_t first = units.first * COLUMN_UNIT, end = (units.first + units.count) * COLUMN_UNIT;
    return (vgg_range){first, size_min(end, columns) - first};
}

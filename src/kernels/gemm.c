#include "vgg11/kernels/gemm.h"

#include <limits.h>
#include <stdint.h>

#include "vgg11/base/integers.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

enum { LINE_FLOATS = VGG_ALIGNMENT_BYTES / sizeof(float) };

size_t gemm_row_stride(size_t columns) { return vgg_round_up(columns, LINE_FLOATS) + LINE_FLOATS; }

size_t gemm_panels(const simd_kernels *kernels, size_t columns) { return size_divide_up(columns, (size_t)kernels->panel); }

gemm_prefetch gemm_prefetch_block(const simd_kernels *kernels, const float *first, size_t stride, bool transposed)
{
    unsigned panel_bits = 0;
    while (1 << panel_bits < kernels->panel) panel_bits++;
    if (transposed) return (gemm_prefetch){first, stride, (size_t)kernels->panel - 1, panel_bits};
    return (gemm_prefetch){first, stride, SIZE_MAX, sizeof(size_t) * CHAR_BIT - 1};
}

/* Rows are cut into this many nearly equal tiles, rather than full tiles and a small rest: 32 rows are 11 + 11 + 10, not 14 + 14 +
 * 4. */
static size_t tile_count(const simd_kernels *kernels, size_t rows) { return size_divide_up(rows, (size_t)kernels->rows); }

void gemm_by_rows(const simd_kernels *kernels, const gemm_tile *tile, size_t rows, const gemm_prefetch *next, size_t next_count)
{
    size_t tiles = tile_count(kernels, rows);
    for (size_t i = 0; i < tiles; i++) {
        vgg_range part = range_part(rows, tiles, i);
        gemm_tile one = *tile;
        one.a += part.first * tile->a_stride;
        one.c += part.first * tile->c_stride;
        const gemm_tile_function *form = i < next_count ? kernels->by_rows_fetching : kernels->by_rows;
        if (i < next_count) one.next = next[i];
        if (i == 0 && tile->unpacked) form = kernels->by_rows_packing;
        form[part.count](&one);
    }
}

void gemm_by_columns(const simd_kernels *kernels, const gemm_tile *tile, size_t rows)
{
    size_t tiles = tile_count(kernels, rows);
    for (size_t i = 0; i < tiles; i++) {
        vgg_range part = range_part(rows, tiles, i);
        gemm_tile one = *tile;
        one.a += part.first;
        one.c += part.first * tile->c_stride;
        bool fetches = i == 0 && tile->next_rows.count > 0;
        (fetches ? kernels->by_columns_fetching : kernels->by_columns)[part.count](&one);
    }
}

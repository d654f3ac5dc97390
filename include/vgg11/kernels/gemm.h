/* Matrix products of any number of rows, cut into gemm tiles. */
#ifndef VGG11_KERNELS_GEMM_H
#define VGG11_KERNELS_GEMM_H

#include "vgg11/kernels/kernels.h"

/* Floats from row to row of a copy that gemm tiles read: `columns` rounded up, and a cache line more, so that rows do not fall into
 * the same sets of the L1 cache when `columns` is a power of two. */
size_t gemm_row_stride(size_t columns);

/* How many panels `columns` columns take. */
size_t gemm_panels(const simd_kernels *kernels, size_t columns);

/* The prefetch of what pack() or, if `transposed`, pack_transposed() will read from `first` on. */
gemm_prefetch gemm_prefetch_block(const simd_kernels *kernels, const float *first, size_t stride, bool transposed);

/* Computes C[rows][panel] of `tile`, whose a and c point at the first row; row m of A is at a + m * a_stride. The first
 * `next_count` gemm tiles prefetch next[0], next[1], ... for the products that follow. If tile->unpacked is set, the first also
 * packs B; next_count must be at least 1 then. */
void gemm_by_rows(const simd_kernels *kernels, const gemm_tile *tile, size_t rows, const gemm_prefetch *next, size_t next_count);

/* Computes C[rows][panel] of `tile` where A is stored by columns: element (m, k) is at a + m + k * a_stride. The first gemm tile
 * prefetches tile->next_rows, if there are any. */
void gemm_by_columns(const simd_kernels *kernels, const gemm_tile *tile, size_t rows);

#endif

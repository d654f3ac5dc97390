/* A product of any number of rows, cut into register tiles. */
#ifndef VGG11_KERNELS_GEMM_H
#define VGG11_KERNELS_GEMM_H

#include "vgg11/kernels/kernels.h"

/* Floats between rows of a copy that tiles read: `columns` rounded up, and a cache line more, so that rows do not fall into
 * the same set of the L1 cache when `columns` is a power of two. */
size_t gemm_row_stride(size_t columns);

/* Columns in whole panels, and how many panels that is. */
size_t gemm_panels(const simd_kernels *kernels, size_t columns);

/* To fetch what pack() or, if `transposed`, pack_transposed() will read. */
gemm_prefetch gemm_prefetch_block(const simd_kernels *kernels, const float *first, size_t stride, bool transposed);

/* C[rows][panel] of `tile` (whose a and c point at the first row), with A's rows `a_stride` apart. The first `next_count`
 * register tiles fetch next[0], next[1], ... for what comes after. If tile->unpacked is set, the first packs B and fetches
 * (next_count >= 1 then). */
void gemm_by_rows(const simd_kernels *kernels, const gemm_tile *tile, size_t rows, const gemm_prefetch *next, size_t next_count);

/* The same for A stored by columns: row m at a + m. The first register tile fetches tile->beside, if that has any rows. */
void gemm_by_columns(const simd_kernels *kernels, const gemm_tile *tile, size_t rows);

#endif

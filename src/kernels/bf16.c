#include "vgg11/kernels/bf16.h"

#include "vgg11/kernels/kernels.h"
#include "vgg11/base/range.h"

/* Whole cache lines of the bfloat16 array. */
enum { PIECE = 1024 };

static size_t piece_count(size_t count) { return (count + PIECE - 1) / PIECE; }

static vgg_range piece_at(size_t count, size_t index)
{
    size_t left = count - index * PIECE;
    return (vgg_range){index * PIECE, left < PIECE ? left : PIECE};
}

void bf16_round_array(bf16 *out, const float *in, size_t count, int threads)
{
    const simd_kernels *kernels = simd_kernels_select();
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < piece_count(count); i++) {
        vgg_range piece = piece_at(count, i);
        kernels->round_to_bf16(out + piece.first, in + piece.first, piece.count);
    }
}

void bf16_widen_array(float *out, const bf16 *in, size_t count, int threads)
{
    const simd_kernels *kernels = simd_kernels_select();
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < piece_count(count); i++) {
        vgg_range piece = piece_at(count, i);
        kernels->widen_bf16(out + piece.first, in + piece.first, piece.count);
    }
}

void bf16_round_floats(float *out, const float *in, size_t count, int threads)
{
#pragma omp parallel for simd num_threads(threads) schedule(static)
    for (size_t i = 0; i < count; i++) out[i] = bf16_widen(bf16_round(in[i]));
}

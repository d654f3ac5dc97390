#include "vgg11/kernels/pool.h"

#include "vgg11/kernels/kernels.h"
#include "vgg11/base/integers.h"

/* Channels of a block, which stays in the L1 cache when it is widened. */
enum { BLOCK_CHANNELS = 256 };

/* A channel block of one pooling window. */
typedef struct {
    size_t first; /* offset in the map of the block's first channel of the window's upper left pixel */
    size_t pixel; /* numbers from a pixel to its right neighbour */
    size_t row;   /* numbers from a pixel to the one below */
    size_t out;   /* offset in the pooled map */
    size_t count; /* channels */
} window_block;

static size_t channel_blocks(const pool_shape *shape) { return size_divide_up((size_t)shape->channels, BLOCK_CHANNELS); }

static size_t window_count(const pool_shape *shape)
{
    size_t half = (size_t)shape->side / 2;
    return (size_t)shape->n * half * half;
}

static window_block block_at(const pool_shape *shape, size_t index)
{
    size_t half = (size_t)shape->side / 2, channels = (size_t)shape->channels;
    size_t window = index / channel_blocks(shape), channel = index % channel_blocks(shape) * BLOCK_CHANNELS;
    window_block p = {.pixel = channels, .row = (size_t)shape->side * channels};
    p.first = 2 * (window / half) * p.row + 2 * (window % half) * p.pixel + channel;
    p.out = window * channels + channel;
    p.count = size_min(channels - channel, BLOCK_CHANNELS);
    return p;
}

static size_t place_offset(const window_block *p, int place)
{
    return (size_t)(place / 2) * p->row + (size_t)(place % 2) * p->pixel;
}

void pool_forward(const pool_shape *shape, pool_map x, pool_map y, uint8_t *pool_argmax)
{
    const simd_kernels *kernels = simd_kernels_select();
#pragma omp parallel for num_threads(shape->threads) schedule(static)
    for (size_t i = 0; i < window_count(shape) * channel_blocks(shape); i++) {
        window_block p = block_at(shape, i);
        float space[4][BLOCK_CHANNELS], pooled[BLOCK_CHANNELS];
        const float *window[4];
        for (int place = 0; place < 4; place++) {
            size_t from = p.first + place_offset(&p, place);
            if (x.bf16) kernels->widen_bf16(space[place], x.bf16 + from, p.count);
            window[place] = x.bf16 ? space[place] : x.fp32 + from;
        }
        kernels->pool(y.bf16 ? pooled : y.fp32 + p.out, pool_argmax ? pool_argmax + p.out : NULL, window, p.count, false);
        if (y.bf16) kernels->round_to_bf16(y.bf16 + p.out, pooled, p.count);
    }
}

void pool_backward(const pool_shape *shape, pool_map dy, const uint8_t *pool_argmax, pool_map dx)
{
    const simd_kernels *kernels = simd_kernels_select();
#pragma omp parallel for num_threads(shape->threads) schedule(static)
    for (size_t i = 0; i < window_count(shape) * channel_blocks(shape); i++) {
        window_block p = block_at(shape, i);
        float space[4][BLOCK_CHANNELS], pooled[BLOCK_CHANNELS];
        float *window[4];
        for (int place = 0; place < 4; place++)
            window[place] = dx.bf16 ? space[place] : dx.fp32 + p.first + place_offset(&p, place);
        if (dy.bf16) kernels->widen_bf16(pooled, dy.bf16 + p.out, p.count);
        kernels->unpool(window, dy.bf16 ? pooled : dy.fp32 + p.out, pool_argmax + p.out, p.count);
        for (int place = 0; dx.bf16 && place < 4; place++)
            kernels->round_to_bf16(dx.bf16 + p.first + place_offset(&p, place), space[place], p.count);
    }
}

void relu_backward(const float *y, float *dy, size_t count, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < count; i++) dy[i] = y[i] <= 0 ? 0 : dy[i];
}

void relu_backward_bf16(const bf16 *y, bf16 *dy, size_t count, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < count; i++) dy[i] = bf16_widen(y[i]) <= 0 ? 0 : dy[i];
}

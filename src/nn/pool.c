#include "nn/pool.h"

#include "nn/simd_kernels.h"

/* The four pixels of each window in turn, from the corner of the window whose result is number `out` of the pooled map. */
static size_t corner(const pool_shape *shape, size_t out)
{
    size_t half = (size_t)shape->side / 2, row = out / half, column = out % half;
    return (2 * row * (size_t)shape->side + 2 * column) * (size_t)shape->channels;
}

static size_t window_count(const pool_shape *shape) { return (size_t)shape->n * (size_t)(shape->side / 2) * (size_t)(shape->side / 2); }

void pool_forward(const pool_shape *shape, const float *x, float *y, uint8_t *chosen)
{
    const simd_kernels *kernels = simd_kernels_select();
    size_t pixel = (size_t)shape->channels, row = (size_t)shape->side * pixel;
#pragma omp parallel for num_threads(shape->threads) schedule(static)
    for (size_t out = 0; out < window_count(shape); out++) {
        const float *first = x + corner(shape, out);
        const float *const window[4] = {first, first + pixel, first + row, first + row + pixel};
        kernels->pool(y + out * pixel, chosen ? chosen + out * pixel : NULL, window, pixel, false);
    }
}

void pool_backward(const pool_shape *shape, const float *dy, const uint8_t *chosen, float *dx)
{
    const simd_kernels *kernels = simd_kernels_select();
    size_t pixel = (size_t)shape->channels, row = (size_t)shape->side * pixel;
#pragma omp parallel for num_threads(shape->threads) schedule(static)
    for (size_t out = 0; out < window_count(shape); out++) {
        float *first = dx + corner(shape, out);
        float *const window[4] = {first, first + pixel, first + row, first + row + pixel};
        kernels->unpool(window, dy + out * pixel, chosen + out * pixel, pixel);
    }
}

void relu_backward(const float *y, float *dy, size_t count, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < count; i++) dy[i] = y[i] <= 0 ? 0 : dy[i];
}

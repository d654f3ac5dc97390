#include "nn/pool.h"

#include <stdbool.h>


/* NaN beats every number and stays: both comparisons with it are false but the last. */
static inline bool beats(float value, float best) { return value > best || value != value; }

static void pool_row(const float *upper, const float *lower, int side, int channels, float *y, uint8_t *chosen)
{
    for (int w = 0; w < side / 2; w++) {
        const float *top = upper + (size_t)2 * w * channels, *bottom = lower + (size_t)2 * w * channels;
        for (int c = 0; c < channels; c++) {
            float best = top[c];
            uint8_t place = 0;
            bool better = beats(top[channels + c], best);
            best = better ? top[channels + c] : best;
            place = better ? 1 : place;
            better = beats(bottom[c], best);
            best = better ? bottom[c] : best;
            place = better ? 2 : place;
            better = beats(bottom[channels + c], best);
            best = better ? bottom[channels + c] : best;
            place = better ? 3 : place;
            y[(size_t)w * channels + c] = best;
            if (chosen) chosen[(size_t)w * channels + c] = place;
        }
    }
}

void pool_forward(const pool_shape *shape, const float *x, float *y, uint8_t *chosen)
{
    int rows = shape->n * (shape->side / 2);
    size_t in_row = (size_t)shape->side * shape->channels, out_row = in_row / 2;
#pragma omp parallel for num_threads(shape->threads) schedule(static)
    for (int row = 0; row < rows; row++) {
        const float *upper = x + 2 * (size_t)row * in_row;
        size_t out = (size_t)row * out_row;
        pool_row(upper, upper + in_row, shape->side, shape->channels, y + out, chosen ? chosen + out : NULL);
    }
}

static void scatter_row(const float *dy, const float *y, const uint8_t *chosen, int side, int channels, float *upper,
                        float *lower)
{
    for (int w = 0; w < side / 2; w++) {
        size_t out = (size_t)w * channels, in = 2 * out;
        for (int c = 0; c < channels; c++) {
            float gradient = y[out + c] <= 0 ? 0 : dy[out + c];
            uint8_t place = chosen[out + c];
            upper[in + c] = place == 0 ? gradient : 0;
            upper[in + channels + c] = place == 1 ? gradient : 0;
            lower[in + c] = place == 2 ? gradient : 0;
            lower[in + channels + c] = place == 3 ? gradient : 0;
        }
    }
}

void pool_relu_backward(const pool_shape *shape, const float *dy, const float *y, const uint8_t *chosen, float *dx)
{
    int rows = shape->n * (shape->side / 2);
    size_t in_row = (size_t)shape->side * shape->channels, out_row = in_row / 2;
#pragma omp parallel for num_threads(shape->threads) schedule(static)
    for (int row = 0; row < rows; row++) {
        float *upper = dx + 2 * (size_t)row * in_row;
        size_t out = (size_t)row * out_row;
        scatter_row(dy + out, y + out, chosen + out, shape->side, shape->channels, upper, upper + in_row);
    }
}

void relu_backward(const float *y, float *dy, size_t count, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < count; i++) dy[i] = y[i] <= 0 ? 0 : dy[i];
}

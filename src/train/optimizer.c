#include "vgg11/train/optimizer.h"

#include <math.h>

#include "vgg11/base/range.h"

enum { CHUNK_FLOATS = 16384, CHUNKS_AT_ONCE = 4, TILES_IN_A_ROW = 32 };

static float scale_of(const optimizer_config *config, double norm)
{
    return config->clip_norm > 0 && norm > config->clip_norm ? (float)(config->clip_norm / norm) : 1.0f;
}

void optimizer_clip(const optimizer_config *config, const double square_sums[MODEL_TENSORS], clip_result *result)
{
    double sum = 0;
    for (int t = 0; t < MODEL_TENSORS; t++) sum += square_sums[t];
    result->norm = sqrt(sum);
    result->smallest_scale = 1;
    for (int t = 0; t < MODEL_TENSORS; t++) {
        double norm = config->mode == CLIP_TENSOR ? sqrt(square_sums[t]) : result->norm;
        result->scale[t] = scale_of(config, norm);
        if (result->scale[t] < result->smallest_scale) result->smallest_scale = result->scale[t];
    }
}

/* One pass over weights, velocity and gradient; the compiler makes a version for each vector width. The factor of v in
 * w <- w + a v - b lr g' is (m, 1) with Nesterov and (1, 0) without. */
typedef struct {
    float scale;
    float decay;
    float momentum;
    float lr;
    float velocity_factor;
    float gradient_factor;
} update_terms;

static inline __attribute__((always_inline)) void update_floats(update_terms t, size_t count, float *restrict weights,
                                                                float *restrict velocity, const float *restrict gradient)
{
    for (size_t i = 0; i < count; i++) {
        float push = t.lr * (t.scale * gradient[i] + t.decay * weights[i]);
        float v = t.momentum * velocity[i] - push;
        velocity[i] = v;
        weights[i] += t.velocity_factor * v - t.gradient_factor * push;
    }
}

__attribute__((target_clones("avx512f", "avx2", "default"))) static void update_chunk(update_terms t, size_t count,
                                                                                      float *restrict weights,
                                                                                      float *restrict velocity,
                                                                                      const float *restrict gradient)
{
    update_floats(t, count, weights, velocity, gradient);
}

static update_terms terms_of(const optimizer_config *config, const clip_result *clip, float lr, int tensor)
{
    return (update_terms){.scale = clip->scale[tensor],
                          .decay = model_tensors()[tensor].kernel ? config->weight_decay : 0,
                          .momentum = config->momentum,
                          .lr = lr,
                          .velocity_factor = config->nesterov ? config->momentum : 1,
                          .gradient_factor = config->nesterov ? 1 : 0};
}

static vgg_range intersection(vgg_range a, vgg_range b)
{
    size_t first = a.first > b.first ? a.first : b.first;
    size_t a_end = a.first + a.count, b_end = b.first + b.count;
    size_t end = a_end < b_end ? a_end : b_end;
    return (vgg_range){first, end > first ? end - first : 0};
}

/* To be called by all threads of a parallel region, as the next; neither waits for the others. From the end to the beginning: the
 * norm was summed from the beginning to the end, and what it read last is still in the cache. */
static void update_tensor(const update_terms *terms, vgg_range part, const optimizer_buffers *buffers)
{
    size_t chunks = (part.count + CHUNK_FLOATS - 1) / CHUNK_FLOATS;
#pragma omp for schedule(dynamic, CHUNKS_AT_ONCE) nowait
    for (size_t i = 0; i < chunks; i++) {
        size_t chunk = chunks - 1 - i, first = part.first + chunk * CHUNK_FLOATS, left = part.first + part.count - first;
        update_chunk(*terms, left < CHUNK_FLOATS ? left : CHUNK_FLOATS, buffers->weights + first, buffers->velocity + first,
                     buffers->gradient + first);
    }
}

typedef struct {
    const factor_batch *factors;
    update_terms terms;
    int layer;
    vgg_range rows; /* of the kernel */
    float *weights; /* of the whole kernel, as the next */
    float *velocity;
} kernel_update;

/* A tile of the gradient is made when its weights are updated, and is never in memory. */
static void update_tile(const kernel_update *k, size_t index, bool last)
{
    _Alignas(64) float gradient[FACTOR_ROWS * FACTOR_COLUMNS];
    const float *arrays[2] = {k->weights, k->velocity};
    factor_tile tile = factor_tile_at(k->layer, k->rows, index), next = tile;
    if (!last) next = factor_tile_at(k->layer, k->rows, index + 1);
    factors_multiply(k->factors, k->layer, &tile, last ? NULL : &next, arrays, gradient);
    size_t out = (size_t)model_layers[k->layer].out, first = tile.rows.first * out + tile.columns.first;
    for (size_t row = 0; row < tile.rows.count; row++, first += out)
        update_chunk(k->terms, tile.columns.count, k->weights + first, k->velocity + first, gradient + row * FACTOR_COLUMNS);
}

static void update_kernel(const update_terms *terms, int layer, const optimizer_buffers *buffers)
{
    size_t kernel = model_tensors()[2 * layer].offset;
    kernel_update k = {.factors = buffers->factors,
                       .terms = *terms,
                       .layer = layer,
                       .rows = factor_rows(buffers->factors, layer),
                       .weights = buffers->weights + kernel,
                       .velocity = buffers->velocity + kernel};
    size_t tiles = factor_tile_count(layer, k.rows), runs = (tiles + TILES_IN_A_ROW - 1) / TILES_IN_A_ROW;
#pragma omp for schedule(dynamic) nowait
    for (size_t run = 0; run < runs; run++) {
        vgg_range own = range_part(tiles, runs, run);
        for (size_t i = 0; i < own.count; i++) update_tile(&k, own.first + i, i + 1 == own.count);
    }
}

void optimizer_update(const optimizer_config *config, const clip_result *clip, float lr, vgg_range owned,
                      const optimizer_buffers *buffers)
{
    const tensor_view *tensors = model_tensors();
    const factor_set *f = buffers->factors ? buffers->factors->f : NULL;
#pragma omp parallel num_threads(config->threads)
    for (int t = MODEL_TENSORS - 1; t >= 0; t--) {
        update_terms terms = terms_of(config, clip, lr, t);
        if (tensors[t].kernel && factors_hold(f, t / 2))
            update_kernel(&terms, t / 2, buffers);
        else
            update_tensor(&terms, intersection(owned, (vgg_range){tensors[t].offset, tensors[t].count}), buffers);
    }
}

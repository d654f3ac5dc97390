#include "vgg11/train/optimizer.h"

#include <math.h>

#include "vgg11/base/integers.h"
#include "vgg11/base/range.h"

/* A task updates TASK_BLOCKS blocks of a tensor, or up to TASK_TILES tiles of a kernel whose gradient is in factors. */
enum { BLOCK_FLOATS = 16384, TASK_BLOCKS = 4, TASK_TILES = 32 };

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
    result->not_finite = NULL;
    for (int t = 0; t < MODEL_TENSORS; t++) {
        if (!isfinite(square_sums[t])) result->not_finite = &model_tensors()[t];
        double norm = config->mode == CLIP_TENSOR ? sqrt(square_sums[t]) : result->norm;
        result->scale[t] = scale_of(config, norm);
        if (result->scale[t] < result->smallest_scale) result->smallest_scale = result->scale[t];
    }
}

bool optimizer_clip_is_finite(const clip_result *clip)
{
    bool finite = isfinite(clip->norm);
    for (int t = 0; t < MODEL_TENSORS; t++) finite = finite && isfinite(clip->scale[t]);
    return finite;
}

/* The factors of optimizer.h's update, in which w <- w + a v - b lr g': (a, b) is (momentum, 1) with Nesterov and (1, 0)
 * without. */
typedef struct {
    float scale;
    float decay;
    float momentum;
    float lr;
    float velocity_factor; /* a */
    float gradient_factor; /* b */
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

/* The compiler makes a version for each vector width. */
__attribute__((target_clones("avx512f", "avx2", "default"))) static void update_block(update_terms t, size_t count,
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

/* To be called by all threads of a parallel region; no thread waits for the others. Goes from the end to the beginning: the norm
 * was summed from the beginning to the end, and what was read last is still in the cache. */
static void update_tensor(const update_terms *terms, vgg_range part, const optimizer_buffers *buffers)
{
    size_t blocks = size_divide_up(part.count, BLOCK_FLOATS);
#pragma omp for schedule(dynamic, TASK_BLOCKS) nowait
    for (size_t i = 0; i < blocks; i++) {
        size_t block = blocks - 1 - i, first = part.first + block * BLOCK_FLOATS, left = part.first + part.count - first;
        update_block(*terms, size_min(left, BLOCK_FLOATS), buffers->weights + first, buffers->velocity + first,
                     buffers->gradient + first);
    }
}

typedef struct {
    const factor_batch *factors;
    update_terms terms;
    int layer;
    vgg_range rows;  /* the kernel's rows that this rank updates */
    float *weights;  /* of the whole kernel */
    float *velocity; /* of the whole kernel */
} kernel_update;

/* Computes a tile of the gradient and updates its weights at once: the gradient is never in memory as a whole. */
static void update_tile(const kernel_update *k, size_t index, bool last)
{
    _Alignas(64) float gradient[FACTOR_ROWS * FACTOR_COLUMNS];
    const float *arrays[2] = {k->weights, k->velocity};
    factor_tile tile = factor_tile_at(k->layer, k->rows, index), next = tile;
    if (!last) next = factor_tile_at(k->layer, k->rows, index + 1);
    factors_multiply(k->factors, k->layer, &tile, last ? NULL : &next, arrays, gradient);
    size_t out = (size_t)model_layers[k->layer].out, first = tile.rows.first * out + tile.columns.first;
    for (size_t row = 0; row < tile.rows.count; row++, first += out)
        update_block(k->terms, tile.columns.count, k->weights + first, k->velocity + first, gradient + row * FACTOR_COLUMNS);
}

/* To be called by all threads of a parallel region; no thread waits for the others. */
static void update_kernel(const update_terms *terms, int layer, const optimizer_buffers *buffers)
{
    size_t kernel = model_tensors()[2 * layer].offset;
    kernel_update k = {.factors = buffers->factors,
                       .terms = *terms,
                       .layer = layer,
                       .rows = factor_rows(buffers->factors, layer),
                       .weights = buffers->weights + kernel,
                       .velocity = buffers->velocity + kernel};
    size_t tiles = factor_tile_count(layer, k.rows), tasks = size_divide_up(tiles, TASK_TILES);
#pragma omp for schedule(dynamic) nowait
    for (size_t task = 0; task < tasks; task++) {
        vgg_range own = range_part(tiles, tasks, task);
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
            update_tensor(&terms, range_intersection(owned, (vgg_range){tensors[t].offset, tensors[t].count}), buffers);
    }
}

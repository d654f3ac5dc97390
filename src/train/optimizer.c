#include "vgg11/train/optimizer.h"

#include <math.h>

#include "vgg11/base/range.h"

enum { CHUNK_FLOATS = 16384, CHUNKS_AT_ONCE = 4 };

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

__attribute__((target_clones("avx512f", "avx2", "default"))) static void
update_chunk(update_terms t, size_t count, float *restrict weights, float *restrict velocity, const float *restrict gradient)
{
    for (size_t i = 0; i < count; i++) {
        float push = t.lr * (t.scale * gradient[i] + t.decay * weights[i]);
        float v = t.momentum * velocity[i] - push;
        velocity[i] = v;
        weights[i] += t.velocity_factor * v - t.gradient_factor * push;
    }
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

/* To be called by all threads of a parallel region; does not wait for the others. From the end to the beginning: the norm was
 * summed from the beginning to the end, and what it read last is still in the cache. */
static void update_tensor(const update_terms *terms, vgg_range part, float *weights, float *velocity, const float *gradient)
{
    size_t chunks = (part.count + CHUNK_FLOATS - 1) / CHUNK_FLOATS;
#pragma omp for schedule(dynamic, CHUNKS_AT_ONCE) nowait
    for (size_t i = 0; i < chunks; i++) {
        size_t chunk = chunks - 1 - i, first = part.first + chunk * CHUNK_FLOATS, left = part.first + part.count - first;
        update_chunk(*terms, left < CHUNK_FLOATS ? left : CHUNK_FLOATS, weights + first, velocity + first, gradient + first);
    }
}

void optimizer_update(const optimizer_config *config, const clip_result *clip, float lr, vgg_range owned, float *weights,
                      float *velocity, const float *gradient)
{
    const tensor_view *tensors = model_tensors();
#pragma omp parallel num_threads(config->threads)
    for (int t = MODEL_TENSORS - 1; t >= 0; t--) {
        vgg_range part = intersection(owned, (vgg_range){tensors[t].offset, tensors[t].count});
        update_terms terms = terms_of(config, clip, lr, t);
        update_tensor(&terms, part, weights, velocity, gradient);
    }
}

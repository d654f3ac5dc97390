#include "vgg11/kernels/bf16.h"

#include "vgg11/kernels/kernels.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/range.h"

/* Numbers of a task: whole cache lines of both arrays. */
enum { TASK_NUMBERS = 1024 };

static size_t task_count(size_t count) { return size_divide_up(count, TASK_NUMBERS); }

static vgg_range task_at(size_t count, size_t index)
{
    size_t first = index * TASK_NUMBERS;
    return (vgg_range){first, size_min(count - first, TASK_NUMBERS)};
}

void bf16_round_array(bf16 *out, const float *in, size_t count, int threads)
{
    const simd_kernels *kernels = simd_kernels_select();
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < task_count(count); i++) {
        vgg_range task = task_at(count, i);
        kernels->round_to_bf16(out + task.first, in + task.first, task.count);
    }
}

void bf16_widen_array(float *out, const bf16 *in, size_t count, int threads)
{
    const simd_kernels *kernels = simd_kernels_select();
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < task_count(count); i++) {
        vgg_range task = task_at(count, i);
        kernels->widen_bf16(out + task.first, in + task.first, task.count);
    }
}

void bf16_round_floats(float *out, const float *in, size_t count, int threads)
{
#pragma omp parallel for simd num_threads(threads) schedule(static)
    for (size_t i = 0; i < count; i++) out[i] = bf16_widen(bf16_round(in[i]));
}

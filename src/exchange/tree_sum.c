#include "exchange/tree_sum.h"

#include <string.h>

#include "vgg11/base/cpu.h"
#include "vgg11/base/integers.h"

/* Blocks of 2 KiB of each source are long enough for hardware prefetchers, and so short that all partial sums stay in the level-1
 * cache. A task is 64 KiB. DEPTH bounds the depth of the tree. */
enum { BLOCK_FLOATS = 512, DEPTH = 32, TASK_FLOATS = 1 << 14 };

static inline __attribute__((always_inline)) void add(float *out, const float *a, const float *b, size_t count)
{
#pragma GCC ivdep
    for (size_t i = 0; i < count; i++) out[i] = a[i] + b[i];
}

/* Adds four sources in one go, which halves the traffic of partial sums for the most frequent numbers of ranks. */
static inline __attribute__((always_inline)) void add_four(float *out, const float *const *s, size_t first, size_t count)
{
    const float *a = s[0] + first, *b = s[1] + first, *c = s[2] + first, *d = s[3] + first;
#pragma GCC ivdep
    for (size_t i = 0; i < count; i++) out[i] = (a[i] + b[i]) + (c[i] + d[i]);
}

#ifdef __x86_64__
__attribute__((target("avx512f,prefer-vector-width=512"))) static void add_avx512(float *out, const float *a, const float *b,
                                                                                  size_t count)
{
    add(out, a, b, count);
}

__attribute__((target("avx512f,prefer-vector-width=512"))) static void add_four_avx512(float *out, const float *const *s,
                                                                                       size_t first, size_t count)
{
    add_four(out, s, first, count);
}
#endif

static void add_portable(float *out, const float *a, const float *b, size_t count) { add(out, a, b, count); }

static void add_four_portable(float *out, const float *const *s, size_t first, size_t count) { add_four(out, s, first, count); }

typedef struct {
    void (*pair)(float *out, const float *a, const float *b, size_t count);
    void (*four)(float *out, const float *const *sources, size_t first, size_t count);
} adders;

static adders choose(void)
{
#ifdef __x86_64__
    if (cpu_detect()->avx512) return (adders){add_avx512, add_four_avx512};
#endif
    return (adders){add_portable, add_four_portable};
}

void sum_pair(float *out, const float *a, const float *b, size_t count) { choose().pair(out, a, b, count); }

/* Sources of the left branch: the largest power of two below n. */
static int left_sources(int n)
{
    int left = 1;
    while (2 * left < n) left *= 2;
    return left;
}

/* The sum of n sources over one block: in `out`, or in place if there is one source. Partial sums go to `scratch`; `out` is written
 * when all sources have been read, so that it may lie in one of them. */
static const float *block_sum(const adders *use, float *out, const float *const *sources, int n, size_t first, size_t count,
                              float (*scratch)[BLOCK_FLOATS])
{
    if (n == 1) return sources[0] + first;
    if (n == 4) {
        use->four(out, sources, first, count);
        return out;
    }
    int left = left_sources(n);
    const float *a = block_sum(use, scratch[0], sources, left, first, count, scratch + 2);
    const float *b = block_sum(use, scratch[1], sources + left, n - left, first, count, scratch + 2);
    use->pair(out, a, b, count);
    return out;
}

void sum_tree(float *out, const float *const *sources, int source_count, size_t first, size_t count)
{
    _Alignas(64) float scratch[2 * DEPTH][BLOCK_FLOATS];
    adders use = choose();
    for (size_t done = 0; done < count; done += BLOCK_FLOATS) {
        size_t block = size_min(count - done, BLOCK_FLOATS);
        const float *sum = block_sum(&use, out + done, sources, source_count, first + done, block, scratch);
        if (sum != out + done) memmove(out + done, sum, block * sizeof *out);
    }
}

void sum_tree_by_threads(float *out, const float *const *sources, int source_count, vgg_range floats, int threads)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t done = 0; done < floats.count; done += TASK_FLOATS) {
        size_t count = size_min(floats.count - done, TASK_FLOATS);
        sum_tree(out + done, sources, source_count, floats.first + done, count);
    }
}

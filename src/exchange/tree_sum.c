#include "exchange/tree_sum.h"

#include <string.h>

#include "vgg11/base/cpu.h"

/* 2 KiB a source at a time: long enough for the prefetchers, and all partial sums stay in the first-level cache. A thread takes
 * 64 KiB at a time. */
enum { PIECE_FLOATS = 512, DEPTH = 32, SHARE_FLOATS = 1 << 14 };

static inline __attribute__((always_inline)) void add(float *out, const float *a, const float *b, size_t count)
{
#pragma GCC ivdep
    for (size_t i = 0; i < count; i++) out[i] = a[i] + b[i];
}

/* Four sources in one go: half the traffic of partial sums for the most frequent numbers of ranks. */
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

/* Leaves of the left branch: the largest power of two below n. */
static int left_leaves(int n)
{
    int left = 1;
    while (2 * left < n) left *= 2;
    return left;
}

/* The sum of n sources over one piece: in `out`, or in place if there is nothing to add. Partial sums go to `scratch`, and
 * `out` is written when all has been read, so that it may lie in a source. */
static const float *piece_sum(const adders *use, float *out, const float *const *sources, int n, size_t first, size_t count,
                              float (*scratch)[PIECE_FLOATS])
{
    if (n == 1) return sources[0] + first;
    if (n == 4) {
        use->four(out, sources, first, count);
        return out;
    }
    int left = left_leaves(n);
    const float *a = piece_sum(use, scratch[0], sources, left, first, count, scratch + 2);
    const float *b = piece_sum(use, scratch[1], sources + left, n - left, first, count, scratch + 2);
    use->pair(out, a, b, count);
    return out;
}

void sum_tree(float *out, const float *const *sources, int source_count, size_t first, size_t count)
{
    _Alignas(64) float scratch[2 * DEPTH][PIECE_FLOATS];
    adders use = choose();
    for (size_t done = 0; done < count; done += PIECE_FLOATS) {
        size_t piece = count - done < PIECE_FLOATS ? count - done : PIECE_FLOATS;
        const float *sum = piece_sum(&use, out + done, sources, source_count, first + done, piece, scratch);
        if (sum != out + done) memmove(out + done, sum, piece * sizeof *out);
    }
}

void sum_tree_by_threads(float *out, const float *const *sources, int source_count, vgg_range floats, int threads)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t done = 0; done < floats.count; done += SHARE_FLOATS) {
        size_t count = floats.count - done < SHARE_FLOATS ? floats.count - done : SHARE_FLOATS;
        sum_tree(out + done, sources, source_count, floats.first + done, count);
    }
}

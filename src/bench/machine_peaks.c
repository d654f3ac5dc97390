#include "bench/machine_peaks.h"

#include <omp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bench/peak_flops.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

/* Trials of arithmetic are short, so that there can be more of them. */
enum { PAGE_FLOATS = 1024, FLOPS_TRIALS = 4 };

/* Shorter than a time slice of the scheduler, so that some trials are not interrupted where the machine has other work, too. Trials
 * of the bandwidth cannot be that short: the bytes that they move must be many more than what caches hold of the trial before. */
static const double FLOPS_TRIAL_S = 0.004;

/* One thread's part of a measured loop. The result is stored, so that the compiler cannot remove the loop. */
typedef float (*team_function)(void *context, int thread, int threads);

static volatile float sink;

static double time_team(int threads, team_function function, void *context)
{
    double start = 0;
#pragma omp parallel num_threads(threads)
    {
#pragma omp barrier
        if (omp_get_thread_num() == 0) start = clock_now_s();
        sink = function(context, omp_get_thread_num(), omp_get_num_threads());
    }
    return clock_now_s() - start;
}

/* Raises *best to the best rate of all ranks together in `trials` trials, and returns true if it was raised. In a trial this rank
 * does `mine` operations or moves `mine` bytes; it lasts from the common start to the slowest rank's end. */
static bool raise_rate(comm *c, int threads, int trials, double mine, team_function function, void *context, double *best)
{
    double total = mine, before = *best;
    comm_sum_in_rank_order(c, &total, 1);
    for (int trial = 0; trial < trials; trial++) {
        comm_barrier(c);
        double rate = total / comm_max(c, time_team(threads, function, context));
        if (rate > *best) *best = rate;
    }
    return *best > before;
}

typedef struct {
    const peak_flops_kernel *kernel;
    uint64_t rounds;
} flops_loop;

static float run_flops(void *context, int thread, int threads)
{
    const flops_loop *loop = context;
    (void)thread, (void)threads;
    return loop->kernel->run(loop->rounds);
}

/* Rounds that take at least a trial's time on the slowest rank; the same on all ranks. */
static uint64_t calibrate_rounds(comm *c, const peak_flops_kernel *kernel, int threads)
{
    flops_loop loop = {kernel, 1024};
    while (comm_max(c, time_team(threads, run_flops, &loop)) < FLOPS_TRIAL_S) loop.rounds *= 2;
    return loop.rounds;
}

static void measure_flops(comm *c, int threads, int trials, machine_peaks *peaks)
{
    for (const peak_flops_kernel *kernel = peak_flops_kernels; kernel->name; kernel++) {
        bool is_bf16 = kernel->precision == PRECISION_BF16;
        if (comm_any(c, !kernel->available(cpu_detect()))) continue;
        flops_loop loop = {kernel, calibrate_rounds(c, kernel, threads)};
        double flops = kernel->flops_per_round * (double)loop.rounds * threads;
        double *best = is_bf16 ? &peaks->bf16_flops : &peaks->fp32_flops;
        if (raise_rate(c, threads, FLOPS_TRIALS * trials, flops, run_flops, &loop, best))
            *(is_bf16 ? &peaks->bf16_kernel : &peaks->fp32_kernel) = kernel->name;
    }
}

typedef struct {
    float *w, *v, *g;
    size_t count; /* floats in each, a multiple of PAGE_FLOATS */
} streams;

static vgg_range part_of(const streams *s, int thread, int threads)
{
    vgg_range pages = range_part(s->count / PAGE_FLOATS, (size_t)threads, (size_t)thread);
    return (vgg_range){pages.first * PAGE_FLOATS, pages.count * PAGE_FLOATS};
}

/* Each thread writes its part first, which places the pages in memory near it. */
static float touch(void *context, int thread, int threads)
{
    streams *s = context;
    vgg_range mine = part_of(s, thread, threads);
    for (size_t i = mine.first; i < mine.first + mine.count; i++) {
        s->w[i] = 1.0f;
        s->v[i] = 0.0f;
        s->g[i] = 0.001f;
    }
    return 0;
}

/* Sums of integers, since compilers may reorder them, in several lanes, so that an addition need not wait for the one before. */
static float read_one(void *context, int thread, int threads)
{
    enum { LANES = 32 };
    const streams *s = context;
    vgg_range mine = part_of(s, thread, threads);
    uint32_t sums[LANES] = {0}, total = 0;
    const uint32_t *words = (const uint32_t *)(const void *)(s->w + mine.first);
    for (size_t i = 0; i < mine.count; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++) sums[lane] += words[i + lane];
    for (size_t lane = 0; lane < LANES; lane++) total += sums[lane];
    return (float)total;
}

static float copy_one(void *context, int thread, int threads)
{
    streams *s = context;
    vgg_range mine = part_of(s, thread, threads);
    memcpy(s->g + mine.first, s->w + mine.first, mine.count * sizeof *s->g);
    return mine.count > 0 ? s->g[mine.first] : 0;
}

static float update_all(void *context, int thread, int threads)
{
    const float lr = 0.001f, momentum = 0.9f;
    streams *s = context;
    vgg_range mine = part_of(s, thread, threads);
    float *restrict w = s->w + mine.first, *restrict v = s->v + mine.first;
    const float *restrict g = s->g + mine.first;
    for (size_t i = 0; i < mine.count; i++) {
        float moved = lr * g[i];
        v[i] = momentum * v[i] - moved;
        w[i] += momentum * v[i] - moved;
    }
    return mine.count > 0 ? w[0] : 0;
}

static size_t clamp_bytes(size_t value, size_t least, size_t most) { return value < least ? least : value > most ? most : value; }

/* Twice the level-3 cache for each of this rank's threads, and at least 128 MiB, which is much more than a core's share of a cache and
 * does where it is to be quick; but no more than a fraction of the available memory. The same on all ranks. */
static size_t choose_array_bytes(comm *c, int threads, int trials)
{
    enum { ARRAYS = 3, SPARE = 4 };
    const size_t least_bytes = (size_t)128 << 20, most_bytes = trials > MACHINE_PEAKS_QUICK ? (size_t)1 << 30 : least_bytes;
    size_t wanted = clamp_bytes(2 * cpu_cache_bytes(3) * (size_t)threads, least_bytes, most_bytes);
    size_t room = cpu_memory_available_bytes() / ((size_t)comm_node_size(c) * ARRAYS * SPARE);
    double least = -comm_max(c, -(double)(room > 0 && room < wanted ? room : wanted));
    const size_t unit = PAGE_FLOATS * sizeof(float);
    return (size_t)least / unit * unit;
}

static vgg_status map_streams(comm *c, size_t bytes, streams *s)
{
    vgg_status status = vgg_map(bytes, (void **)&s->w);
    if (status == VGG_OK) status = vgg_map(bytes, (void **)&s->v);
    if (status == VGG_OK) status = vgg_map(bytes, (void **)&s->g);
    return comm_agree(c, status);
}

static void unmap_streams(streams *s, size_t bytes)
{
    vgg_unmap(s->w, bytes);
    vgg_unmap(s->v, bytes);
    vgg_unmap(s->g, bytes);
}

static vgg_status measure_bandwidth(comm *c, int threads, int trials, machine_peaks *peaks)
{
    size_t bytes = peaks->array_bytes = choose_array_bytes(c, threads, trials);
    streams s = {.count = bytes / sizeof(float)};
    vgg_status status = map_streams(c, bytes, &s);
    if (status == VGG_OK) {
        time_team(threads, touch, &s);
        raise_rate(c, threads, trials, 5.0 * (double)bytes, update_all, &s, &peaks->update_bytes);
        raise_rate(c, threads, trials, (double)bytes, read_one, &s, &peaks->read_bytes);
        raise_rate(c, threads, trials, 2.0 * (double)bytes, copy_one, &s, &peaks->copy_bytes);
    }
    unmap_streams(&s, bytes);
    return status;
}

vgg_status machine_peaks_measure(comm *c, int threads, int trials, machine_peaks *peaks)
{
    measure_flops(c, threads, trials, peaks);
    return measure_bandwidth(c, threads, trials, peaks);
}

double machine_bandwidth(const machine_peaks *peaks)
{
    double best = peaks->read_bytes > peaks->copy_bytes ? peaks->read_bytes : peaks->copy_bytes;
    return best > peaks->update_bytes ? best : peaks->update_bytes;
}

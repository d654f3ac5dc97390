/* The gradient is summed in buckets, each of which is begun as soon as it is final, during the backward pass. Sums make progress
 * whenever exchange_poll() or exchange_range_final() is called, so that one thread suffices (MPI_THREAD_FUNNELED). MPI_Iallreduce
 * could replace allreduce_queue.h, but takes up to twice as long and promises no order of the sum. The squares of a bucket are
 * summed when its sum is complete. The update waits for all buckets, since it is scaled by the norm of the whole gradient, and
 * skipped if that is not finite. */
#include "exchange/exchange_impl.h"
#include "exchange/allreduce_queue.h"

#include <math.h>
#include <stdlib.h>

#include "vgg11/base/clock.h"
#include "vgg11/base/integers.h"

enum { MIB_FLOATS = 1 << 18, WINDOW_MIB_MOST = 64, TRIALS = 2, UNTIMED_MIB = 4 };

/* Buckets of twice the size are only taken if they are faster by this factor, since nothing hides the last bucket. */
static const double WORTH_DOUBLING = 1.1, WINDOW_S = 0.1;

typedef struct {
    vgg_range blocks;
    vgg_range floats;
    size_t missing; /* floats that are not final yet */
} bucket;

typedef struct {
    bucket *buckets; /* [count], from the end of the buffer to its start: the order in which they become final */
    size_t count;
    size_t started; /* buckets 0 .. started - 1 are under way or done: the same order on all ranks, as MPI asks */
    size_t summed;  /* buckets 0 .. summed - 1 are done, and their squares are summed */
    size_t before;  /* sums that had ended when the step began */
    allreduce_queue *sum;
} overlap_state;

static vgg_status open_sum(exchange *ex, size_t longest, allreduce_queue **out)
{
    allreduce_queue_plan plan = {ex->c->world, ex->config.count, longest};
    return allreduce_queue_open(ex, &plan, out);
}

/* Seconds on the slowest rank to sum `window` MiB of zeros in buckets of `mib` MiB. */
static double time_window(exchange *ex, size_t window, size_t mib)
{
    size_t floats = mib * MIB_FLOATS;
    allreduce_queue *sum = NULL;
    double seconds = INFINITY;
    if (comm_agree(ex->c, open_sum(ex, floats, &sum)) == VGG_OK) {
        comm_barrier(ex->c);
        double start = clock_now_s();
        for (size_t at = 0; at < window * MIB_FLOATS; at += floats) {
            allreduce_queue_wait_for_room(sum);
            allreduce_queue_start(sum, ex->gradient + at, at, floats);
        }
        allreduce_queue_wait(sum);
        seconds = comm_max(ex->c, clock_now_s() - start);
    }
    allreduce_queue_close(sum);
    return seconds;
}

static double best_time(exchange *ex, size_t window, size_t mib)
{
    double best = INFINITY;
    for (int i = 0; i < TRIALS; i++) best = fmin(best, time_window(ex, window, mib));
    return best;
}

/* How many MiB to time with: a power of two, as much as can be summed in WINDOW_S, so that a slow network does not delay the
 * start. */
static size_t choose_window(exchange *ex)
{
    size_t window = 1;
    double one = best_time(ex, 1, 1);
    while (window < WINDOW_MIB_MOST && 2 * window * MIB_FLOATS <= ex->config.count && 2 * (double)window * one < WINDOW_S)
        window *= 2;
    return window;
}

/* Size of a bucket: from 1 MiB on, twice as large where that is worth it. Times are maxima over ranks, so that all ranks choose the
 * same. */
static size_t choose_mib(exchange *ex)
{
    size_t chosen = 1;
    if (!ex->config.tune) return UNTIMED_MIB;
    if (ex->c->size == 1 || ex->config.count < MIB_FLOATS) return chosen;
    size_t window = choose_window(ex);
    double seconds = best_time(ex, window, chosen);
    for (size_t mib = 2; mib <= window / 2; mib *= 2) {
        double longer = best_time(ex, window, mib);
        if (longer * WORTH_DOUBLING > seconds) continue;
        chosen = mib;
        seconds = longer;
    }
    return chosen;
}

/* The bucket that ends before block `end`: as many blocks as make at most `most_floats` floats, and at least one. */
static bucket cut_bucket(const block_table *table, size_t end, size_t most_floats)
{
    size_t first = end - 1, last_float = table->blocks[end].first;
    while (first > 0 && last_float - table->blocks[first - 1].first <= most_floats) first--;
    bucket b = {.blocks = {first, end - first}};
    b.floats = blocks_floats(table, b.blocks);
    return b;
}

static vgg_status open_buckets(exchange *ex, overlap_state *overlap)
{
    size_t longest = 0;
    overlap->buckets = calloc(ex->blocks.count + 1, sizeof *overlap->buckets);
    if (!overlap->buckets) return vgg_fail(VGG_UNAVAILABLE, "no memory for the buckets of the exchange");
    for (size_t end = ex->blocks.count; end > 0; end = overlap->buckets[overlap->count - 1].blocks.first) {
        bucket *b = &overlap->buckets[overlap->count++];
        *b = cut_bucket(&ex->blocks, end, (size_t)ex->bucket_mib * MIB_FLOATS);
        longest = size_max(longest, b->floats.count);
    }
    return open_sum(ex, longest, &overlap->sum);
}

static vgg_status overlap_open(exchange *ex)
{
    VGG_TRY(replicated_buffers_open(ex));
    overlap_state *overlap = calloc(1, sizeof *overlap);
    ex->state = overlap;
    vgg_status status = VGG_OK;
    if (!overlap) status = vgg_fail(VGG_UNAVAILABLE, "no memory for the overlapping exchange");
    VGG_TRY(comm_agree(ex->c, status));
    ex->bucket_mib = ex->config.bucket_mib > 0 ? ex->config.bucket_mib : (int)choose_mib(ex);
    status = open_buckets(ex, overlap);
    ex->cost.bytes_sent = allreduce_queue_bytes_sent(overlap->sum);
    ex->cost.memory_rank_bytes += allreduce_queue_memory_bytes(overlap->sum);
    return comm_agree(ex->c, status);
}

static void overlap_close(exchange *ex)
{
    overlap_state *overlap = ex->state;
    if (overlap) {
        allreduce_queue_close(overlap->sum);
        free(overlap->buckets);
        free(overlap);
    }
    replicated_buffers_close(ex);
}

static void overlap_begin(exchange *ex)
{
    overlap_state *overlap = ex->state;
    overlap->started = overlap->summed = 0;
    overlap->before = allreduce_queue_test(overlap->sum);
    for (size_t i = 0; i < overlap->count; i++) overlap->buckets[i].missing = overlap->buckets[i].floats.count;
}

static void sum_squares(exchange *ex, overlap_state *overlap, size_t done)
{
    double start = span_start(ex->spans);
    for (; overlap->summed < done; overlap->summed++)
        blocks_square_sums(&ex->blocks, ex->gradient, overlap->buckets[overlap->summed].blocks, ex->config.threads,
                           ex->blocks.sums);
    span_end_if_long(ex->spans, start, "squares", EXCHANGE_TOLD_S);
}

/* Begins the sums of buckets that are final, while there is room, and sums the squares of those that are done. */
static void overlap_poll(exchange *ex)
{
    overlap_state *overlap = ex->state;
    size_t done = allreduce_queue_test(overlap->sum) - overlap->before;
    for (; overlap->started < overlap->count && allreduce_queue_has_room(overlap->sum); overlap->started++) {
        const bucket *b = &overlap->buckets[overlap->started];
        if (b->missing > 0) break;
        allreduce_queue_start(overlap->sum, ex->gradient + b->floats.first, b->floats.first, b->floats.count);
    }
    sum_squares(ex, overlap, done);
}

static void overlap_range_final(exchange *ex, size_t first, size_t count)
{
    overlap_state *overlap = ex->state;
    for (size_t i = 0; i < overlap->count; i++)
        overlap->buckets[i].missing -= range_common(overlap->buckets[i].floats, (vgg_range){first, count});
    overlap_poll(ex);
}

static void overlap_finish(exchange *ex)
{
    overlap_state *overlap = ex->state;
    for (size_t i = overlap->started; i < overlap->count; i++) overlap->buckets[i].missing = 0;
    while (overlap->summed < overlap->count) {
        overlap_poll(ex);
        double start = span_start(ex->spans);
        if (overlap->started < overlap->count)
            allreduce_queue_wait_for_room(overlap->sum);
        else
            allreduce_queue_wait(overlap->sum);
        span_end_if_long(ex->spans, start, "wait for messages", EXCHANGE_TOLD_S);
    }
}

static const double *overlap_square_sums(exchange *ex) { return ex->blocks.sums; }

const exchange_functions exchange_overlap = {
    .open = overlap_open,
    .close = overlap_close,
    .begin = overlap_begin,
    .range_final = overlap_range_final,
    .poll = overlap_poll,
    .finish = overlap_finish,
    .square_sums = overlap_square_sums,
    .distribute = replicated_buffers_distribute,
};

/* The all-reduce cut into buckets, each begun as soon as its gradients are final, while the backward walk goes on. MPI moves them
 * on whenever exchange_poll() or exchange_range_final() is called, so one thread will do (MPI_THREAD_FUNNELED). The square sums
 * of a bucket are taken when it has come, the update waits for all of them: it is clipped by the norm of the whole, and there is
 * none if that is not finite. */
#include "dist/exchange_impl.h"
#include "dist/rank_tree.h"

#include <math.h>
#include <stdlib.h>

#include "vgg11/base/clock.h"
#include "vgg11/base/memory.h"

enum { MIB_FLOATS = 1 << 18, WINDOW_MIB_MOST = 64, TRIALS = 2, TAG_FIRST = 16 };

/* A larger bucket has to be so much faster to be taken: the last one is hidden behind nothing. */
static const double WORTH_DOUBLING = 1.1, WINDOW_S = 0.1;

typedef struct {
    vgg_range run;    /* blocks */
    vgg_range floats;
    size_t missing;   /* floats that are not final yet */
    MPI_Request request;
    rank_tree tree;
    float *scratch;   /* the tree's */
} bucket;

/* Two ways to sum a bucket while other work goes on. */
typedef struct {
    void (*start)(exchange *ex, bucket *b, int tag);
    bool (*test)(bucket *b); /* lets it go on; true when it has come */
    void (*wait)(bucket *b);
} bucket_method;

typedef struct {
    const bucket_method *method;
    bucket *buckets;   /* [count], from the end of the buffer to its start: the order in which they become final */
    size_t count;
    size_t started;    /* buckets 0 .. started - 1 are under way or done: the same order on all ranks, as MPI asks */
    size_t summed;     /* buckets 0 .. summed - 1 have come, and their squares are summed */
    float *scratch;
    size_t scratch_floats;
} overlap_state;

static void start_mpi(exchange *ex, bucket *b, int tag)
{
    (void)tag;
    MPI_CALL(MPI_Iallreduce, MPI_IN_PLACE, ex->gradient + b->floats.first, (int)b->floats.count, MPI_FLOAT, MPI_SUM, ex->c->world,
             &b->request);
}

static bool test_mpi(bucket *b)
{
    int done;
    MPI_CALL(MPI_Test, &b->request, &done, MPI_STATUS_IGNORE);
    return done;
}

static void wait_mpi(bucket *b) { MPI_CALL(MPI_Wait, &b->request, MPI_STATUS_IGNORE); }

static void start_tree(exchange *ex, bucket *b, int tag)
{
    rank_tree_start(&b->tree, ex->c->world, ex->gradient + b->floats.first, b->floats.count, b->scratch, tag);
}

static bool test_tree(bucket *b) { return rank_tree_test(&b->tree); }

static void wait_tree(bucket *b) { rank_tree_wait(&b->tree); }

static const bucket_method by_mpi = {start_mpi, test_mpi, wait_mpi};
static const bucket_method by_tree = {start_tree, test_tree, wait_tree};

/* Seconds of the slowest rank until `window` MiB of zeros, all under way at once, are summed in buckets of `mib`. */
static double time_window(exchange *ex, size_t window, size_t mib)
{
    bucket buckets[WINDOW_MIB_MOST];
    size_t count = window / mib, floats = mib * MIB_FLOATS;
    comm_barrier(ex->c);
    double start = clock_now_s();
    for (size_t i = 0; i < count; i++) {
        buckets[i] = (bucket){.floats = {i * floats, floats}, .request = MPI_REQUEST_NULL};
        start_mpi(ex, &buckets[i], TAG_FIRST);
    }
    for (size_t i = 0; i < count; i++) wait_mpi(&buckets[i]);
    return comm_max(ex->c, clock_now_s() - start);
}

static double best_time(exchange *ex, size_t window, size_t mib)
{
    double best = INFINITY;
    for (int i = 0; i < TRIALS; i++) best = fmin(best, time_window(ex, window, mib));
    return best;
}

/* As much as passes in WINDOW_S, so that a slow network does not hold up the start: a power of two. */
static size_t choose_window(exchange *ex)
{
    size_t window = 1;
    double one = best_time(ex, 1, 1);
    while (window < WINDOW_MIB_MOST && 2 * window * MIB_FLOATS <= ex->config.count && 2 * (double)window * one < WINDOW_S) window *= 2;
    return window;
}

/* From 1 MiB on, twice as large where that is worth it. Times are agreed, so all ranks come to the same. */
static size_t choose_mib(exchange *ex)
{
    size_t chosen = 1;
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

/* The bucket that ends before block `end`: as many blocks as fill it. */
static bucket cut_bucket(const block_table *table, size_t end, size_t most_floats)
{
    size_t first = end - 1, last_float = table->blocks[end].first;
    while (first > 0 && last_float - table->blocks[first - 1].first <= most_floats) first--;
    bucket b = {.run = {first, end - first}, .request = MPI_REQUEST_NULL};
    b.floats = blocks_floats(table, b.run);
    return b;
}

static vgg_status open_buckets(exchange *ex, overlap_state *overlap)
{
    overlap->buckets = calloc(ex->blocks.count + 1, sizeof *overlap->buckets);
    if (!overlap->buckets) return vgg_fail(VGG_UNAVAILABLE, "no memory for the buckets of the exchange");
    for (size_t end = ex->blocks.count; end > 0; end = overlap->buckets[overlap->count - 1].run.first)
        overlap->buckets[overlap->count++] = cut_bucket(&ex->blocks, end, (size_t)ex->bucket_mib * MIB_FLOATS);
    if (ex->config.slices == 0) return VGG_OK;

    for (size_t i = 0; i < overlap->count; i++) overlap->scratch_floats += rank_tree_scratch(overlap->buckets[i].floats.count);
    void *memory = NULL;
    VGG_TRY(vgg_map(overlap->scratch_floats * sizeof(float), &memory));
    overlap->scratch = memory;
    for (size_t i = 0, used = 0; i < overlap->count; i++) {
        overlap->buckets[i].scratch = overlap->scratch + used;
        used += rank_tree_scratch(overlap->buckets[i].floats.count);
    }
    return VGG_OK;
}

static vgg_status overlap_open(exchange *ex)
{
    if (exchange_wire_is_narrow(ex)) return vgg_fail(VGG_DECLINED, "it does not send bf16; node and allreduce do");
    VGG_TRY(local_buffers_open(ex));
    overlap_state *overlap = calloc(1, sizeof *overlap);
    ex->state = overlap;
    vgg_status status = VGG_OK;
    if (!overlap) status = vgg_fail(VGG_UNAVAILABLE, "no memory for the overlapping exchange");
    VGG_TRY(comm_agree(ex->c, status));
    ex->bucket_mib = ex->config.bucket_mib > 0 ? ex->config.bucket_mib : (int)choose_mib(ex);
    status = open_buckets(ex, overlap);
    if (status == VGG_OK) {
        overlap->method = ex->config.slices > 0 ? &by_tree : &by_mpi;
        ex->cost.memory_rank_bytes += overlap->scratch_floats * sizeof(float);
    }
    return comm_agree(ex->c, status);
}

static void overlap_close(exchange *ex)
{
    overlap_state *overlap = ex->state;
    if (overlap) {
        if (overlap->scratch) vgg_unmap(overlap->scratch, overlap->scratch_floats * sizeof(float));
        free(overlap->buckets);
        free(overlap);
    }
    local_buffers_close(ex);
}

static void overlap_begin(exchange *ex)
{
    overlap_state *overlap = ex->state;
    overlap->started = overlap->summed = 0;
    for (size_t i = 0; i < overlap->count; i++) overlap->buckets[i].missing = overlap->buckets[i].floats.count;
}

static size_t common_floats(vgg_range a, vgg_range b)
{
    size_t first = a.first > b.first ? a.first : b.first;
    size_t a_end = a.first + a.count, b_end = b.first + b.count, end = a_end < b_end ? a_end : b_end;
    return end > first ? end - first : 0;
}

static void start_next(exchange *ex, overlap_state *overlap)
{
    overlap->method->start(ex, &overlap->buckets[overlap->started], TAG_FIRST + (int)overlap->started);
    overlap->started++;
}

static void sum_next(exchange *ex, overlap_state *overlap)
{
    vgg_range run = overlap->buckets[overlap->summed++].run;
    blocks_square_sums(&ex->blocks, ex->gradient, run, ex->config.threads, ex->blocks.sums);
}

/* All that are under way go on; those behind one that has not come yet wait to be summed, so that they are tested in order. */
static void overlap_poll(exchange *ex)
{
    overlap_state *overlap = ex->state;
    bool all_came = true;
    for (size_t i = overlap->summed; i < overlap->started; i++) {
        bool came = overlap->method->test(&overlap->buckets[i]);
        all_came = all_came && came;
        if (all_came) sum_next(ex, overlap);
    }
}

static void overlap_range_final(exchange *ex, size_t first, size_t count)
{
    overlap_state *overlap = ex->state;
    for (size_t i = 0; i < overlap->count; i++)
        overlap->buckets[i].missing -= common_floats(overlap->buckets[i].floats, (vgg_range){first, count});
    while (overlap->started < overlap->count && overlap->buckets[overlap->started].missing == 0) start_next(ex, overlap);
    overlap_poll(ex);
}

static void overlap_finish(exchange *ex)
{
    overlap_state *overlap = ex->state;
    while (overlap->started < overlap->count) start_next(ex, overlap);
    while (overlap->summed < overlap->count) {
        overlap->method->wait(&overlap->buckets[overlap->summed]);
        sum_next(ex, overlap);
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
    .distribute = local_buffers_distribute,
};

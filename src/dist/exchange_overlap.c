/* The all-reduce cut into buckets, each begun as soon as its gradients are final, while the backward walk goes on. MPI moves them
 * on whenever exchange_poll() or exchange_range_final() is called, so one thread will do (MPI_THREAD_FUNNELED). */
#include "dist/exchange_impl.h"
#include "dist/rank_tree.h"

#include <stdlib.h>

#include "vgg11/base/memory.h"

/* 4 MiB. On one node 1 and 4 MiB take equally long, 16 MiB and more longer; between nodes a message should not be short. */
enum { BUCKET_FLOATS = 1 << 20, TAG_FIRST = 16 };

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
    void (*test)(bucket *b); /* lets it go on */
    void (*wait)(bucket *b);
} bucket_method;

typedef struct {
    const bucket_method *method;
    bucket *buckets;   /* [count], from the end of the buffer to its start: the order in which they become final */
    size_t count;
    size_t started;    /* buckets 0 .. started - 1 are under way or done: the same order on all ranks, as MPI asks */
    float *scratch;
    size_t scratch_floats;
} overlap_state;

static void start_mpi(exchange *ex, bucket *b, int tag)
{
    (void)tag;
    MPI_CALL(MPI_Iallreduce, MPI_IN_PLACE, ex->gradient + b->floats.first, (int)b->floats.count, MPI_FLOAT, MPI_SUM, ex->c->world,
             &b->request);
}

static void test_mpi(bucket *b)
{
    int done;
    MPI_CALL(MPI_Test, &b->request, &done, MPI_STATUS_IGNORE);
}

static void wait_mpi(bucket *b) { MPI_CALL(MPI_Wait, &b->request, MPI_STATUS_IGNORE); }

static void start_tree(exchange *ex, bucket *b, int tag)
{
    rank_tree_start(&b->tree, ex->c->world, ex->gradient + b->floats.first, b->floats.count, b->scratch, tag);
}

static void test_tree(bucket *b) { rank_tree_test(&b->tree); }

static void wait_tree(bucket *b) { rank_tree_wait(&b->tree); }

static const bucket_method by_mpi = {start_mpi, test_mpi, wait_mpi};
static const bucket_method by_tree = {start_tree, test_tree, wait_tree};

/* The bucket that ends before block `end`: as many blocks as fill it. */
static bucket cut_bucket(const block_table *table, size_t end)
{
    size_t first = end - 1, last_float = table->blocks[end].first;
    while (first > 0 && last_float - table->blocks[first - 1].first <= BUCKET_FLOATS) first--;
    bucket b = {.run = {first, end - first}, .request = MPI_REQUEST_NULL};
    b.floats = blocks_floats(table, b.run);
    return b;
}

static vgg_status open_buckets(exchange *ex, overlap_state *overlap)
{
    overlap->buckets = calloc(ex->blocks.count + 1, sizeof *overlap->buckets);
    if (!overlap->buckets) return vgg_fail(VGG_UNAVAILABLE, "no memory for the buckets of the exchange");
    for (size_t end = ex->blocks.count; end > 0; end = overlap->buckets[overlap->count - 1].run.first)
        overlap->buckets[overlap->count++] = cut_bucket(&ex->blocks, end);
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
    if (status == VGG_OK) status = open_buckets(ex, overlap);
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
    overlap->started = 0;
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

static void overlap_poll(exchange *ex)
{
    const overlap_state *overlap = ex->state;
    for (size_t i = 0; i < overlap->started; i++) overlap->method->test(&overlap->buckets[i]);
}

static void overlap_range_final(exchange *ex, size_t first, size_t count)
{
    overlap_state *overlap = ex->state;
    for (size_t i = 0; i < overlap->count; i++)
        overlap->buckets[i].missing -= common_floats(overlap->buckets[i].floats, (vgg_range){first, count});
    while (overlap->started < overlap->count && overlap->buckets[overlap->started].missing == 0) start_next(ex, overlap);
    overlap_poll(ex);
}

/* The square sums of a bucket are taken as soon as it has come, while those behind it are still on their way. */
static void overlap_finish(exchange *ex)
{
    overlap_state *overlap = ex->state;
    while (overlap->started < overlap->count) start_next(ex, overlap);
    for (size_t i = 0; i < overlap->count; i++) {
        overlap->method->wait(&overlap->buckets[i]);
        blocks_square_sums(&ex->blocks, ex->gradient, overlap->buckets[i].run, ex->config.threads, ex->blocks.sums);
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

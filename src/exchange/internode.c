#include "exchange/internode.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "exchange/allreduce_queue.h"
#include "exchange/tree_sum.h"
#include "vgg11/base/integers.h"

/* 1 MiB, so that the first bucket is sent early. */
enum { BUCKET_FLOATS = 1 << 18 };

/* A bucket lies in one shard of this node and in one lane. */
typedef struct {
    vgg_range floats;
    int owner;      /* the node's rank in whose shard it lies */
    int lane;       /* the node's rank in whose lane it lies */
    size_t missing; /* floats of this rank's gradient that are not final yet */
} lane_bucket;

/* Of one bucket, in memory that the node's ranks share. Counted over all steps, so that no rank has to reset them. */
typedef struct {
    atomic_size_t final; /* how often a rank's gradient became final */
    atomic_size_t added; /* the last step whose sum over the node is done */
} bucket_counts;

struct internode {
    MPI_Comm ranks;  /* the ranks of this lane, one of each node, in order of nodes; MPI_COMM_NULL: this rank has no lane */
    bool are_shards; /* each rank's lane is its shard */
    int node_rank;
    int node_size;
    int threads;
    const float *const *gradients; /* [node_size] */
    vgg_range floats;              /* this rank's lane */
    lane_bucket *buckets;          /* of the whole buffer, from its end to its start: the order in which they become final */
    size_t bucket_count;
    comm_shared *counts;  /* [bucket_count]: bucket_counts */
    size_t step;          /* steps so far */
    size_t add_next;      /* buckets of this rank's shard before this one are added up */
    size_t send_next;     /* buckets of this rank's lane before this one are summed between nodes, or about to be */
    allreduce_queue *sum; /* between nodes; NULL: this rank has no lane */
};

static int smallest_node(const comm *c)
{
    int smallest = c->node_sizes[0];
    for (int node = 1; node < c->node_count; node++)
        if (c->node_sizes[node] < smallest) smallest = c->node_sizes[node];
    return smallest;
}

static vgg_range shard_floats(const exchange *ex, int ranks, int rank)
{
    return blocks_floats(&ex->blocks, blocks_part(&ex->blocks, (size_t)ranks, (size_t)rank));
}

static size_t longest_bucket(const exchange *ex) { return allreduce_queue_bucket(ex->c->node_count, BUCKET_FLOATS); }

/* Where a bucket that ends at `end` begins: at the last start of a shard, of any node, before `end`, or where the longest bucket
 * begins. */
static size_t previous_cut(const exchange *ex, size_t end)
{
    size_t longest = longest_bucket(ex), cut = end > longest ? end - longest : 0;
    const int *sizes = ex->c->node_sizes;
    for (int node = 0; node < ex->c->node_count; node++) {
        if (node > 0 && sizes[node] == sizes[node - 1]) continue;
        for (int rank = 0; rank < sizes[node]; rank++) {
            size_t first = shard_floats(ex, sizes[node], rank).first;
            if (first < end && first > cut) cut = first;
        }
    }
    return cut;
}

/* The rank in whose shard float `at` lies, if the buffer is cut into shards for `ranks` ranks. */
static int shard_owner(const exchange *ex, int ranks, size_t at)
{
    int owner = 0;
    for (int rank = 0; rank < ranks; rank++)
        if (shard_floats(ex, ranks, rank).first <= at) owner = rank;
    return owner;
}

static vgg_status cut_buckets(const exchange *ex, internode *between, int lane_count)
{
    size_t most = 0;
    for (size_t end = ex->config.count; end > 0; end = previous_cut(ex, end)) most++;
    between->buckets = calloc(most + 1, sizeof *between->buckets);
    if (!between->buckets) return vgg_fail(VGG_UNAVAILABLE, "no memory for %zu buckets", most);
    for (size_t end = ex->config.count; end > 0;) {
        size_t first = previous_cut(ex, end);
        between->buckets[between->bucket_count++] = (lane_bucket){.floats = {first, end - first},
                                                                  .owner = shard_owner(ex, ex->c->node_size, first),
                                                                  .lane = shard_owner(ex, lane_count, first)};
        end = first;
    }
    return VGG_OK;
}

static vgg_status open_lane(exchange *ex, internode *between, int lane_count)
{
    VGG_TRY(cut_buckets(ex, between, lane_count));
    if (between->ranks == MPI_COMM_NULL) return VGG_OK;
    between->floats = shard_floats(ex, lane_count, ex->c->node_rank);
    size_t floats = between->floats.count, longest = longest_bucket(ex);
    allreduce_queue_plan plan = {between->ranks, floats, size_min(floats, longest)};
    return allreduce_queue_open(ex, &plan, &between->sum);
}

vgg_status internode_open(exchange *ex, const float *const *gradients, internode **out)
{
    comm *c = ex->c;
    int lane_count = smallest_node(c);
    bool equal = lane_count * c->node_count == c->size;
    if (ex->config.micro_batches > 0 && !equal)
        return vgg_fail(VGG_DECLINED, "with --micro-batches it needs the same number of ranks on every node");
    internode *between = calloc(1, sizeof *between);
    vgg_status status = VGG_OK;
    if (!between) status = vgg_fail(VGG_UNAVAILABLE, "no memory for the exchange between nodes");
    status = comm_agree(c, status);
    if (status != VGG_OK) {
        free(between);
        return status;
    }
    *out = between;
    *between = (internode){.are_shards = equal,
                           .node_rank = c->node_rank,
                           .node_size = c->node_size,
                           .threads = ex->config.threads,
                           .gradients = gradients};
    MPI_CALL(MPI_Comm_split, c->world, c->node_rank < lane_count ? c->node_rank : MPI_UNDEFINED, c->node_index, &between->ranks);
    VGG_TRY(comm_agree(c, open_lane(ex, between, lane_count)));
    return comm_shared_open(c, between->bucket_count * sizeof(bucket_counts), &between->counts);
}

void internode_close(internode *between)
{
    if (!between) return;
    comm_shared_close(between->counts);
    allreduce_queue_close(between->sum);
    if (between->ranks != MPI_COMM_NULL) MPI_CALL(MPI_Comm_free, &between->ranks);
    free(between->buckets);
    free(between);
}

bool internode_lanes_are_shards(const internode *between) { return between->are_shards; }

static bucket_counts *counts_of(const internode *between, size_t bucket)
{
    return (bucket_counts *)comm_shared_memory(between->counts) + bucket;
}

void internode_begin(internode *between)
{
    between->step++;
    between->add_next = between->send_next = 0;
    for (size_t i = 0; i < between->bucket_count; i++) between->buckets[i].missing = between->buckets[i].floats.count;
}

static float *owners_gradient(const internode *between, const lane_bucket *bucket)
{
    return (float *)between->gradients[bucket->owner];
}

/* Adds up the buckets of this rank's shard that are final on all ranks of the node; or, if `all`, all that are left. */
static void add_buckets(internode *between, bool all)
{
    for (; between->add_next < between->bucket_count; between->add_next++) {
        const lane_bucket *bucket = &between->buckets[between->add_next];
        bucket_counts *counts = counts_of(between, between->add_next);
        if (bucket->owner != between->node_rank) continue;
        if (!all && atomic_load(&counts->final) < between->step * (size_t)between->node_size) return;
        float *sum = owners_gradient(between, bucket) + bucket->floats.first;
        sum_tree_by_threads(sum, between->gradients, between->node_size, bucket->floats, between->threads);
        atomic_store(&counts->added, between->step);
    }
}

/* Begins to sum between nodes the buckets of this rank's lane that are added up on this node, while there is room. */
static void send_buckets(internode *between)
{
    for (; between->send_next < between->bucket_count; between->send_next++) {
        const lane_bucket *bucket = &between->buckets[between->send_next];
        vgg_range floats = bucket->floats;
        if (bucket->lane != between->node_rank) continue;
        if (atomic_load(&counts_of(between, between->send_next)->added) < between->step) return;
        if (!allreduce_queue_has_room(between->sum)) return;
        allreduce_queue_start(between->sum, owners_gradient(between, bucket) + floats.first, floats.first - between->floats.first,
                              floats.count);
    }
}

void internode_poll(internode *between)
{
    add_buckets(between, false);
    if (between->sum) allreduce_queue_test(between->sum);
    send_buckets(between);
}

void internode_range_final(internode *between, vgg_range floats)
{
    for (size_t i = 0; i < between->bucket_count; i++) {
        size_t common = range_common(between->buckets[i].floats, floats);
        if (common == 0) continue;
        between->buckets[i].missing -= common;
        if (between->buckets[i].missing == 0) atomic_fetch_add(&counts_of(between, i)->final, 1);
    }
    internode_poll(between);
}

void internode_add_rest(internode *between) { add_buckets(between, true); }

void internode_wait(internode *between)
{
    while (between->send_next < between->bucket_count) {
        if (between->sum) allreduce_queue_wait_for_room(between->sum);
        send_buckets(between);
    }
    if (between->sum) allreduce_queue_wait(between->sum);
}

void internode_broadcast(const internode *between, float *buffer)
{
    for (size_t done = 0; done < between->floats.count;) {
        int chunk = mpi_chunk(between->floats.count, done);
        MPI_CALL(MPI_Bcast, buffer + between->floats.first + done, chunk, MPI_FLOAT, 0, between->ranks);
        done += (size_t)chunk;
    }
}

size_t internode_bytes_sent(const internode *between) { return between ? allreduce_queue_bytes_sent(between->sum) : 0; }
size_t internode_memory_bytes(const internode *between) { return between ? allreduce_queue_memory_bytes(between->sum) : 0; }

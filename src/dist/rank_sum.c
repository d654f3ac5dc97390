#include "dist/rank_sum.h"

#include <stdlib.h>

#include "dist/rank_tree.h"
#include "dist/wire_bf16.h"
#include "vgg11/base/memory.h"

/* One way to sum. */
typedef struct {
    size_t (*memory_bytes)(const rank_sum *sum);
    void (*run)(rank_sum *sum, float *data, size_t at, size_t count);
    size_t wire_bytes; /* of a float */
} sum_method;

struct rank_sum {
    const sum_method *method;
    MPI_Comm ranks;
    int rank;
    int size;
    int threads;
    size_t count;
    void *memory; /* method->memory_bytes() */
};

static size_t no_memory(const rank_sum *sum)
{
    (void)sum;
    return 0;
}

static void run_mpi(rank_sum *sum, float *data, size_t at, size_t count)
{
    (void)at;
    for (size_t done = 0; done < count;) {
        int chunk = mpi_chunk(count, done);
        MPI_CALL(MPI_Allreduce, MPI_IN_PLACE, data + done, chunk, MPI_FLOAT, MPI_SUM, sum->ranks);
        done += (size_t)chunk;
    }
}

/* 4 MiB at a time keeps what comes in within the cache until it is added. */
enum { TREE_FLOATS = 1 << 20, TREE_TAG = 2 };

static size_t tree_memory(const rank_sum *sum)
{
    size_t longest = sum->count < TREE_FLOATS ? sum->count : TREE_FLOATS;
    return rank_tree_scratch(longest) * sizeof(float);
}

static void run_tree(rank_sum *sum, float *data, size_t at, size_t count)
{
    (void)at;
    for (size_t done = 0; done < count; done += TREE_FLOATS) {
        size_t floats = count - done < TREE_FLOATS ? count - done : TREE_FLOATS;
        rank_tree tree;
        rank_tree_start(&tree, sum->ranks, data + done, floats, sum->memory, TREE_TAG);
        rank_tree_wait(&tree);
    }
}

static size_t bf16_memory(const rank_sum *sum) { return wire_bf16_bytes(sum->count, sum->size); }

static void run_bf16(rank_sum *sum, float *data, size_t at, size_t count)
{
    wire_bf16 wire = {sum->ranks, sum->rank, sum->size, sum->threads, sum->count, sum->memory};
    wire_bf16_sum(&wire, data, at, count);
}

static const sum_method by_mpi = {no_memory, run_mpi, sizeof(float)};
static const sum_method by_tree = {tree_memory, run_tree, sizeof(float)};
static const sum_method by_bf16 = {bf16_memory, run_bf16, sizeof(uint16_t)};

static const sum_method *choose(const exchange *ex)
{
    if (ex->config.slices > 0) return &by_tree;
    return exchange_wire_is_narrow(ex) ? &by_bf16 : &by_mpi;
}

vgg_status rank_sum_open(const exchange *ex, MPI_Comm ranks, size_t count, rank_sum **out)
{
    rank_sum *sum = calloc(1, sizeof *sum);
    if (!sum) return vgg_fail(VGG_UNAVAILABLE, "no memory for sums over ranks");
    *out = sum;
    *sum = (rank_sum){.method = choose(ex), .ranks = ranks, .threads = ex->config.threads, .count = count};
    MPI_CALL(MPI_Comm_rank, ranks, &sum->rank);
    MPI_CALL(MPI_Comm_size, ranks, &sum->size);
    return vgg_map(sum->method->memory_bytes(sum), &sum->memory);
}

void rank_sum_close(rank_sum *sum)
{
    if (!sum) return;
    if (sum->memory) vgg_unmap(sum->memory, sum->method->memory_bytes(sum));
    free(sum);
}

void rank_sum_run(rank_sum *sum, float *data, size_t at, size_t count)
{
    if (sum->size > 1) sum->method->run(sum, data, at, count);
}

/* All three send each float but those of this rank's own part twice: to be added, and as part of the sum. */
size_t rank_sum_bytes_sent(const rank_sum *sum)
{
    if (!sum) return 0;
    size_t ranks = (size_t)sum->size;
    return 2 * (sum->count / ranks * (ranks - 1)) * sum->method->wire_bytes;
}

size_t rank_sum_memory_bytes(const rank_sum *sum) { return sum ? sum->method->memory_bytes(sum) : 0; }

/* A rank's micro-batches come one after the other. The tree over them works like a binary counter: micro-batch j (from 0) completes
 * as many pairs as j has trailing one bits, and the sums complete so far wait in as many buffers as j + 1 has one bits. */
#include "exchange/exchange_impl.h"
#include "exchange/tree_sum.h"

#include "vgg11/base/integers.h"
#include "vgg11/base/memory.h"

static bool power_of_two(int n) { return n > 0 && (n & (n - 1)) == 0; }

vgg_status micro_batches_check(const exchange_config *config, int ranks)
{
    int micro_batches = config->micro_batches;
    if (micro_batches == 0) return VGG_OK;
    if (!power_of_two(micro_batches))
        return vgg_fail(VGG_BAD_OPTION, "--micro-batches %d: give a power of two (1, 2, 4, 8, ...), or 0 for as many as ranks",
                        micro_batches);
    if (!power_of_two(ranks) || ranks > micro_batches)
        return vgg_fail(
            VGG_BAD_OPTION,
            "--micro-batches %d does not fit %d ranks: start a power of two of ranks, at most %d, or give --micro-batches %s",
            micro_batches, ranks, micro_batches, power_of_two(ranks) ? "at least the number of ranks" : "0");
    if (config->wire == WIRE_BF16)
        return vgg_fail(VGG_BAD_OPTION,
                        "--micro-batches promises the same bits on any number of ranks, which --wire bf16 cannot keep: give "
                        "--wire fp32");
    return VGG_OK;
}

vgg_status micro_batches_open(micro_batch_tree *tree, const exchange_config *config, int ranks)
{
    *tree = (micro_batch_tree){.count = config->micro_batches > 0 ? config->micro_batches / ranks : 1, .floats = config->count};
    for (; 1 << tree->levels < tree->count; tree->levels++) {
        void *memory = NULL;
        VGG_TRY(vgg_map(tree->floats * sizeof(float), &memory));
        tree->waiting[tree->levels] = memory;
    }
    return VGG_OK;
}

void micro_batches_close(micro_batch_tree *tree)
{
    for (int level = 0; level < MICRO_BATCH_LEVELS_MAX; level++)
        if (tree->waiting[level]) vgg_unmap(tree->waiting[level], tree->floats * sizeof(float));
}

size_t micro_batches_memory_bytes(const micro_batch_tree *tree) { return (size_t)tree->levels * tree->floats * sizeof(float); }

vgg_range exchange_micro_batches(const exchange *ex)
{
    size_t count = (size_t)ex->micro_batches.count;
    return (vgg_range){(size_t)ex->first_micro_batch * count, count};
}

/* How many sums wait for their other half when micro-batch `index` begins. */
static int waiting_before(int index) { return __builtin_popcount((unsigned)index); }

float *exchange_micro_batch_gradient(exchange *ex, int index)
{
    bool pairs = index % 2 == 1 || index + 1 == ex->micro_batches.count;
    return pairs ? ex->gradient : ex->micro_batches.waiting[waiting_before(index)];
}

/* Adds to the gradient of micro-batch `index` all sums that it completes. The result stays in the gradient if this is the last
 * micro-batch; else it waits in the buffer where its left half has waited. */
static void complete_pairs(exchange *ex, int index, size_t first, size_t count)
{
    int pairs = __builtin_ctz(~(unsigned)index), top = waiting_before(index);
    bool last = index + 1 == ex->micro_batches.count;
    for (int pair = 0; pair < pairs; pair++) {
        float *left = ex->micro_batches.waiting[top - 1 - pair] + first, *right = ex->gradient + first;
        sum_pair(pair + 1 == pairs && !last ? left : right, left, right, count);
    }
}

/* Floats of a task, 16 KiB: those of all levels stay in the cache until the last pair is added. */
enum { TASK_FLOATS = 4096 };

void exchange_micro_batch_range_final(exchange *ex, int index, size_t first, size_t count)
{
    size_t end = first + count;
    if (index % 2 == 1) {
#pragma omp parallel for schedule(static) num_threads(ex->config.threads)
        for (size_t at = first; at < end; at += TASK_FLOATS) complete_pairs(ex, index, at, size_min(end - at, TASK_FLOATS));
    }
    if (index + 1 == ex->micro_batches.count) exchange_range_final(ex, first, count);
}

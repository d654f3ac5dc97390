#include "exchange/pairwise_allreduce.h"

#include <string.h>

#include "exchange/error_feedback.h"
#include "exchange/tree_sum.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/range.h"

static size_t wire_bytes(const pairwise_group *group) { return group->bf16 ? sizeof(uint16_t) : sizeof(float); }

size_t pairwise_in_bytes(const pairwise_group *group, size_t floats)
{
    size_t ranks = (size_t)group->size;
    return (floats / ranks + 1) * ranks * wire_bytes(group);
}

static vgg_range part_of(const pairwise_allreduce *sum, int rank)
{
    return range_part(sum->count, (size_t)sum->group->size, (size_t)rank);
}

static vgg_range own_part(const pairwise_allreduce *sum) { return part_of(sum, sum->group->rank); }

/* What `rank` has sent of this rank's part. */
static void *in_of(const pairwise_allreduce *sum, int rank)
{
    return (char *)sum->memory.in + (size_t)rank * own_part(sum).count * wire_bytes(sum->group);
}

/* Where `part` is sent from or received to: the numbers themselves, or their rounded copies. */
static void *out_of(const pairwise_allreduce *sum, vgg_range part)
{
    return sum->group->bf16 ? (void *)(sum->memory.out + part.first) : (void *)(sum->data + part.first);
}

/* In turn t every rank sends to the rank t places on, and receives from the rank t places back. */
static void start_turn(pairwise_allreduce *sum, int turn, MPI_Request requests[2])
{
    const pairwise_group *group = sum->group;
    MPI_Datatype type = group->bf16 ? MPI_UINT16_T : MPI_FLOAT;
    int to = (group->rank + turn) % group->size, from = (group->rank + group->size - turn) % group->size;
    vgg_range mine = own_part(sum);
    vgg_range sent = sum->gathering ? mine : part_of(sum, to), received = sum->gathering ? part_of(sum, from) : mine;
    void *into = sum->gathering ? out_of(sum, received) : in_of(sum, from);
    MPI_CALL(MPI_Irecv, into, (int)received.count, type, from, sum->tag, group->ranks, &requests[0]);
    MPI_CALL(MPI_Isend, out_of(sum, sent), (int)sent.count, type, to, sum->tag, group->ranks, &requests[1]);
}

static void start_batch(pairwise_allreduce *sum)
{
    sum->batch = int_min(sum->group->size - sum->turn, PAIRWISE_BATCH);
    for (int i = 0; i < sum->batch; i++) start_turn(sum, sum->turn + i, sum->memory.requests + 2 * i);
}

static void add_fp32(const pairwise_allreduce *sum)
{
    const pairwise_group *group = sum->group;
    vgg_range mine = own_part(sum);
    float *own = sum->data + mine.first;
    for (int rank = 0; rank < group->size; rank++) group->sources[rank] = rank == group->rank ? own : in_of(sum, rank);
    sum_tree_by_threads(own, group->sources, group->size, (vgg_range){0, mine.count}, group->threads);
}

static void add_bf16(const pairwise_allreduce *sum)
{
    vgg_range mine = own_part(sum);
    uint16_t *own = out_of(sum, mine);
    memcpy(in_of(sum, sum->group->rank), own, mine.count * sizeof *own);
    error_feedback_round_sums(sum->memory.in, sum->group->size, sum->memory.sum_error + mine.first, own, mine.count,
                              sum->group->threads);
}

static void end_batch(pairwise_allreduce *sum)
{
    sum->turn += sum->batch;
    if (sum->turn == sum->group->size) {
        if (!sum->gathering && sum->group->bf16) add_bf16(sum);
        if (!sum->gathering && !sum->group->bf16) add_fp32(sum);
        if (sum->gathering && sum->group->bf16) error_feedback_widen(sum->memory.out, sum->data, sum->count, sum->group->threads);
        sum->done = sum->gathering;
        sum->gathering = true;
        sum->turn = 1;
    }
    if (!sum->done) start_batch(sum);
}

void pairwise_allreduce_start(pairwise_allreduce *sum, const pairwise_group *group, pairwise_memory memory, float *data,
                              size_t count, int tag)
{
    *sum = (pairwise_allreduce){.group = group, .memory = memory, .data = data, .count = count, .tag = tag, .turn = 1};
    sum->done = group->size == 1;
    if (sum->done) return;
    if (group->bf16) error_feedback_round(data, memory.sent_error, memory.out, count, group->threads);
    start_batch(sum);
}

bool pairwise_allreduce_test(pairwise_allreduce *sum)
{
    int arrived = 1;
    while (!sum->done && arrived) {
        MPI_CALL(MPI_Testall, 2 * sum->batch, sum->memory.requests, &arrived, MPI_STATUSES_IGNORE);
        if (arrived) end_batch(sum);
    }
    return sum->done;
}

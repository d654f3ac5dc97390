#include "exchange/allreduce_queue.h"

#include <stdlib.h>

#include "exchange/pairwise_allreduce.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

/* So many messages of a rank fill any link; more are only more to look after. */
enum { TAG_FIRST = 2, PART_FLOATS_LEAST = 1 << 14, MESSAGES = 16, UNDER_WAY_LEAST = 2 };

struct allreduce_queue {
    allreduce_queue_plan plan;
    pairwise_group group;
    size_t under_way;         /* sums at a time */
    pairwise_allreduce *jobs; /* [under_way]: sum i is job i % under_way */
    MPI_Request *requests;    /* [under_way][PAIRWISE_REQUESTS] */
    size_t started;
    size_t ended;
    void *memory; /* memory_bytes(): the errors of the whole, then a direct_memory's `in` and `out` for each job */
};

size_t allreduce_queue_bucket(int ranks, size_t least)
{
    size_t worth = (size_t)ranks * PART_FLOATS_LEAST;
    return worth > least ? worth : least;
}

static size_t errors_bytes(const allreduce_queue *sum)
{
    return sum->group.narrow ? vgg_round_up(sum->plan.count, 16) * sizeof(float) : 0;
}

static size_t in_bytes(const allreduce_queue *sum)
{
    return vgg_round_up(pairwise_in_bytes(&sum->group, sum->plan.longest), VGG_ALIGNMENT_BYTES);
}

static size_t out_bytes(const allreduce_queue *sum)
{
    return sum->group.narrow ? vgg_round_up(sum->plan.longest * sizeof(uint16_t), VGG_ALIGNMENT_BYTES) : 0;
}

static size_t sums_at_a_time(const allreduce_queue *sum)
{
    size_t others = (size_t)sum->group.size - 1, batch = others < PAIRWISE_BATCH ? others : PAIRWISE_BATCH;
    size_t filling = batch > 0 && MESSAGES / batch > UNDER_WAY_LEAST ? MESSAGES / batch : UNDER_WAY_LEAST;
    size_t buckets = sum->plan.longest > 0 ? sum->plan.count / sum->plan.longest + 1 : 1;
    return buckets < filling ? buckets : filling;
}

static size_t memory_bytes(const allreduce_queue *sum)
{
    if (sum->group.size == 1) return 0;
    return 2 * errors_bytes(sum) + sum->under_way * (in_bytes(sum) + out_bytes(sum));
}

static size_t request_count(const allreduce_queue *sum) { return sum->under_way * PAIRWISE_REQUESTS; }

vgg_status allreduce_queue_open(const exchange *ex, const allreduce_queue_plan *plan, allreduce_queue **out)
{
    allreduce_queue *sum = calloc(1, sizeof *sum);
    if (!sum) return vgg_fail(VGG_UNAVAILABLE, "no memory for sums over ranks");
    *out = sum;
    sum->plan = *plan;
    sum->group = (pairwise_group){.ranks = plan->ranks, .threads = ex->config.threads, .narrow = exchange_wire_is_narrow(ex)};
    MPI_CALL(MPI_Comm_rank, plan->ranks, &sum->group.rank);
    MPI_CALL(MPI_Comm_size, plan->ranks, &sum->group.size);
    sum->under_way = sums_at_a_time(sum);
    sum->jobs = calloc(sum->under_way, sizeof *sum->jobs);
    sum->requests = calloc(request_count(sum), sizeof(MPI_Request));
    sum->group.sources = calloc((size_t)sum->group.size, sizeof *sum->group.sources);
    if (!sum->jobs || !sum->requests || !sum->group.sources)
        return vgg_fail(VGG_UNAVAILABLE, "no memory for %zu sums over ranks", sum->under_way);
    for (size_t i = 0; i < request_count(sum); i++) sum->requests[i] = MPI_REQUEST_NULL;
    return vgg_map(memory_bytes(sum), &sum->memory);
}

void allreduce_queue_close(allreduce_queue *sum)
{
    if (!sum) return;
    if (sum->memory) vgg_unmap(sum->memory, memory_bytes(sum));
    free(sum->group.sources);
    free(sum->requests);
    free(sum->jobs);
    free(sum);
}

static pairwise_allreduce *job_of(const allreduce_queue *sum, size_t index) { return &sum->jobs[index % sum->under_way]; }

bool allreduce_queue_has_room(const allreduce_queue *sum) { return sum->started - sum->ended < sum->under_way; }

static pairwise_memory memory_of(const allreduce_queue *sum, size_t job, size_t at)
{
    float *errors = sum->memory;
    char *own = (char *)sum->memory + 2 * errors_bytes(sum) + job * (in_bytes(sum) + out_bytes(sum));
    pairwise_memory memory = {.requests = sum->requests + job * PAIRWISE_REQUESTS, .in = own};
    if (!sum->group.narrow) return memory;
    memory.out = (uint16_t *)(own + in_bytes(sum));
    memory.sent_error = errors + at;
    memory.sum_error = memory.sent_error + errors_bytes(sum) / sizeof *errors;
    return memory;
}

void allreduce_queue_start(allreduce_queue *sum, float *data, size_t at, size_t count)
{
    size_t job = sum->started++ % sum->under_way;
    pairwise_allreduce_start(&sum->jobs[job], &sum->group, memory_of(sum, job, at), data, count, TAG_FIRST + (int)job);
}

size_t allreduce_queue_test(allreduce_queue *sum)
{
    for (size_t i = sum->ended; i < sum->started; i++) pairwise_allreduce_test(job_of(sum, i));
    while (sum->ended < sum->started && job_of(sum, sum->ended)->done) sum->ended++;
    return sum->ended;
}

/* All that are under way go on, whichever of their messages comes next. */
static void wait_for_one(allreduce_queue *sum)
{
    int index;
    MPI_CALL(MPI_Waitany, (int)request_count(sum), sum->requests, &index, MPI_STATUS_IGNORE);
    allreduce_queue_test(sum);
}

void allreduce_queue_wait_for_room(allreduce_queue *sum)
{
    allreduce_queue_test(sum);
    while (!allreduce_queue_has_room(sum)) wait_for_one(sum);
}

void allreduce_queue_wait(allreduce_queue *sum)
{
    allreduce_queue_test(sum);
    while (sum->ended < sum->started) wait_for_one(sum);
}

void allreduce_queue_run(allreduce_queue *sum, float *data)
{
    size_t count = sum->plan.count, longest = sum->plan.longest;
    for (size_t at = 0; at < count; at += longest) {
        allreduce_queue_wait_for_room(sum);
        allreduce_queue_start(sum, data + at, at, count - at < longest ? count - at : longest);
    }
    allreduce_queue_wait(sum);
}

/* Each float but those of this rank's own part goes out twice: to be added, and as part of the sum. */
size_t allreduce_queue_bytes_sent(const allreduce_queue *sum)
{
    if (!sum) return 0;
    size_t ranks = (size_t)sum->group.size;
    return 2 * (sum->plan.count / ranks * (ranks - 1)) * (sum->group.narrow ? sizeof(uint16_t) : sizeof(float));
}

size_t allreduce_queue_memory_bytes(const allreduce_queue *sum) { return sum ? memory_bytes(sum) : 0; }

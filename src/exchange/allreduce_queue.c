#include "exchange/allreduce_queue.h"

#include <stdlib.h>

#include "exchange/pairwise_allreduce.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

/* MESSAGES messages of a rank under way fill any link; at least UNDER_WAY_LEAST sums are under way. A rank's part of a bucket has at
 * least PART_FLOATS_LEAST floats. */
enum { TAG_FIRST = 2, PART_FLOATS_LEAST = 1 << 14, MESSAGES = 16, UNDER_WAY_LEAST = 2 };

struct allreduce_queue {
    const exchange *ex; /* whose trace it is */
    allreduce_queue_plan plan;
    pairwise_group group;
    size_t under_way;         /* most sums under way */
    pairwise_allreduce *jobs; /* [under_way]: sum i is job i % under_way */
    double begun_s[MESSAGES]; /* by job, where there is a trace */
    MPI_Request *requests;    /* [under_way][PAIRWISE_REQUESTS] */
    size_t started;           /* sums started so far */
    size_t ended;             /* sums ended so far: 0 .. ended - 1 */
    void *memory; /* memory_bytes(): the rounding errors of the whole, then `in` and `out` of each job's pairwise_memory */
};

size_t allreduce_queue_bucket(int ranks, size_t least) { return size_max((size_t)ranks * PART_FLOATS_LEAST, least); }

static size_t errors_bytes(const allreduce_queue *sum)
{
    return sum->group.bf16 ? vgg_round_up(sum->plan.count, 16) * sizeof(float) : 0;
}

static size_t in_bytes(const allreduce_queue *sum)
{
    return vgg_round_up(pairwise_in_bytes(&sum->group, sum->plan.longest), VGG_ALIGNMENT_BYTES);
}

static size_t out_bytes(const allreduce_queue *sum)
{
    return sum->group.bf16 ? vgg_round_up(sum->plan.longest * sizeof(uint16_t), VGG_ALIGNMENT_BYTES) : 0;
}

static size_t sums_at_a_time(const allreduce_queue *sum)
{
    size_t batch = size_min((size_t)sum->group.size - 1, PAIRWISE_BATCH);
    size_t filling = batch > 0 ? size_max(MESSAGES / batch, UNDER_WAY_LEAST) : UNDER_WAY_LEAST;
    size_t buckets = sum->plan.longest > 0 ? sum->plan.count / sum->plan.longest + 1 : 1;
    return size_min(buckets, filling);
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
    sum->ex = ex;
    sum->plan = *plan;
    sum->group = (pairwise_group){.ranks = plan->ranks, .threads = ex->config.threads, .bf16 = exchange_wire_is_bf16(ex)};
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
    if (!sum->group.bf16) return memory;
    memory.out = (uint16_t *)(own + in_bytes(sum));
    memory.sent_error = errors + at;
    memory.sum_error = memory.sent_error + errors_bytes(sum) / sizeof *errors;
    return memory;
}

void allreduce_queue_start(allreduce_queue *sum, float *data, size_t at, size_t count)
{
    size_t job = sum->started++ % sum->under_way;
    sum->begun_s[job] = span_start(sum->ex->spans);
    pairwise_allreduce_start(&sum->jobs[job], &sum->group, memory_of(sum, job, at), data, count, TAG_FIRST + (int)job);
}

static void test_job(allreduce_queue *sum, size_t job)
{
    bool before = sum->jobs[job].done;
    bool ended = pairwise_allreduce_test(&sum->jobs[job]);
    if (!before && ended && sum->ex->spans)
        span_add(sum->ex->spans, SPAN_MESSAGES + (uint32_t)job, "bucket", NULL, sum->begun_s[job], clock_now_s(), (span_work){0});
}

size_t allreduce_queue_test(allreduce_queue *sum)
{
    for (size_t i = sum->ended; i < sum->started; i++) test_job(sum, i % sum->under_way);
    while (sum->ended < sum->started && job_of(sum, sum->ended)->done) sum->ended++;
    return sum->ended;
}

/* Waits for the next message of any sum under way, and lets all of them make progress. */
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
        allreduce_queue_start(sum, data + at, at, size_min(count - at, longest));
    }
    allreduce_queue_wait(sum);
}

/* Each rank sends the parts of all others to them, and then its part of the sum to all others: each time (ranks - 1) / ranks of the
 * floats. */
size_t allreduce_queue_bytes_sent(const allreduce_queue *sum)
{
    if (!sum) return 0;
    size_t ranks = (size_t)sum->group.size;
    return 2 * (sum->plan.count / ranks * (ranks - 1)) * (sum->group.bf16 ? sizeof(uint16_t) : sizeof(float));
}

size_t allreduce_queue_memory_bytes(const allreduce_queue *sum) { return sum ? memory_bytes(sum) : 0; }

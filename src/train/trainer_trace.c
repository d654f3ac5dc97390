/* The trace: which steps are traced, and how what the ranks did in them comes to rank 0. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "train/trainer_impl.h"
#include "vgg11/base/log.h"
#include "vgg11/train/watchdog.h"

/* Most spans of a step that do not depend on micro-batches, among them those of buckets and of polls that took long; of each layer in each
 * micro-batch; and outside of steps. */
enum { STEP_SPANS = 512, LAYER_SPANS = 8, OTHER_SPANS = 1024, HOST_MAX = 128 };

/* What goes before the spans of a rank. */
typedef struct {
    char host[HOST_MAX];
    uint64_t count;
    uint64_t lost;
    double round_trip_s;
    span_limits limits;
} trace_header;

/* How many of the steps to come are traced. */
static uint64_t find_window(trainer *t)
{
    const trace_config *wanted = &t->config->trace;
    uint64_t next = t->position.step + 1;
    t->trace.first = wanted->first > 0 ? wanted->first : next;
    t->trace.last = wanted->first > 0 ? wanted->last : next + TRACE_STEPS_DEFAULT - 1;
    uint64_t first = t->trace.first > next ? t->trace.first : next;
    uint64_t last = t->trace.last < t->steps_total ? t->trace.last : t->steps_total;
    return last < first ? 0 : last - first + 1;
}

vgg_status trainer_trace_open(trainer *t)
{
    if (!t->config->trace.on) return VGG_OK;
    uint64_t steps = find_window(t);
    if (t->position.step >= t->steps_total) return VGG_OK; /* there is nothing to do, or to evaluate alone */
    if (steps == 0) {
        vgg_log(VGG_LOG_WARNING,
                "--trace-steps %" PRIu64 ":%" PRIu64 ": this run takes steps %" PRIu64 " to %" PRIu64
                ", none of them: the trace is empty",
                t->trace.first, t->trace.last, t->position.step + 1, t->steps_total);
        return VGG_OK;
    }
    size_t layers = (size_t)training_step_micro_batches(&t->step) * MODEL_LAYERS * (t->config->replay_every > 0 ? 2 : 1);
    return comm_agree(t->c, span_log_open(steps * (STEP_SPANS + LAYER_SPANS * layers) + OTHER_SPANS, &t->trace.log));
}

void trainer_trace_close(trainer *t)
{
    span_log_close(t->trace.log);
    t->trace.log = NULL;
}

void trainer_trace_step(trainer *t)
{
    trainer_trace *trace = &t->trace;
    uint64_t step = t->position.step + 1;
    if (!trace->log) return;
    if (step > trace->last) {
        trainer_trace_end(t);
        return;
    }
    bool within = step >= trace->first; /* a run that goes back leaves it, and comes again */
    if (within && trace->begun.at_s == 0) trace->begun = comm_compare_clocks(t->c);
    training_step_trace(&t->step, within ? trace->log : NULL);
    trace->log->step = step;
}

/* `at_s` by rank 0's clock. Clocks drift apart evenly: between two comparisons the offset lies on a line through both. */
static double first_ranks_time(const comm_clock *begun, const comm_clock *ended, double at_s)
{
    double seconds = ended->at_s - begun->at_s, drift = ended->offset_s - begun->offset_s;
    return at_s + begun->offset_s + (seconds > 0 ? drift * (at_s - begun->at_s) / seconds : 0);
}

static void tell(trainer *t, int rank, const trace_header *header, const span *spans)
{
    if (header->lost > 0 && comm_rank(t->c) == 0)
        vgg_log(VGG_LOG_WARNING, "--trace: there was no room for the last %" PRIu64 " spans of rank %d", header->lost, rank);
    run_spans_event event = {.rank = rank,
                             .ranks = comm_size(t->c),
                             .host = header->host,
                             .round_trip_s = header->round_trip_s,
                             .origin_s = t->trace.begun.at_s,
                             .limits = header->limits,
                             .spans = spans,
                             .count = header->count,
                             .lost = header->lost};
    TRAINER_TELL(t, spans, &event);
}

/* One rank after the other, each into the memory of rank 0's own spans, which are told by then. All ranks have room for as many. */
static void gather(trainer *t, trace_header *header)
{
    span *spans = t->trace.log->spans;
    tell(t, 0, header, spans);
    for (int rank = 1; rank < comm_size(t->c); rank++) {
        watchdog_move();
        comm_send_to_first(t->c, rank, header, header, sizeof *header);
        comm_send_to_first(t->c, rank, spans, spans, header->count * sizeof *spans);
        tell(t, rank, header, spans);
    }
}

void trainer_trace_end(trainer *t)
{
    span_log *log = t->trace.log;
    if (!log) return;
    training_step_trace(&t->step, NULL);
    comm_clock ended = comm_compare_clocks(t->c);
    for (size_t i = 0; i < log->count; i++) {
        span *own = &log->spans[i];
        own->start_s = first_ranks_time(&t->trace.begun, &ended, own->start_s);
        own->end_s = first_ranks_time(&t->trace.begun, &ended, own->end_s);
    }
    trace_header header = {.count = log->count,
                           .lost = log->lost,
                           .round_trip_s = fmax(t->trace.begun.round_trip_s, ended.round_trip_s),
                           .limits = t->config->trace.limits};
    snprintf(header.host, sizeof header.host, "%s", comm_host(t->c));
    gather(t, &header);
    trainer_trace_close(t);
}

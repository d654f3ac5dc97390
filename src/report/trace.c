#include "vgg11/report/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vgg11/base/file.h"
#include "vgg11/base/log.h"

struct trace {
    FILE *file;
    char *path;
    bool written; /* any event, so that the next needs a comma */
    bool complete;
};

/* Emptied only once it is known what it is. */
static vgg_status open_empty(trace *t)
{
    int descriptor;
    if (file_open_own(t->path, &descriptor) != VGG_OK) return vgg_fail(VGG_IO_ERROR, "--trace %s", vgg_message());
    t->file = ftruncate(descriptor, 0) == 0 ? fdopen(descriptor, "w") : NULL;
    if (t->file) return VGG_OK;
    vgg_status status = vgg_fail_errno(VGG_IO_ERROR, "--trace %s: cannot be written", t->path);
    close(descriptor);
    return status;
}

vgg_status trace_open(const char *path, trace **out)
{
    trace *t = calloc(1, sizeof *t);
    if (t) t->path = strdup(path);
    if (!t || !t->path) {
        free(t);
        return vgg_fail(VGG_UNAVAILABLE, "not enough memory for the trace");
    }
    vgg_status status = open_empty(t);
    if (status != VGG_OK) {
        free(t->path);
        free(t);
        return status;
    }
    fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[", t->file);
    *out = t;
    return VGG_OK;
}

static void separate(trace *t)
{
    fputs(t->written ? ",\n" : "\n", t->file);
    t->written = true;
}

/* Names of hosts are the system's: what JSON would have to escape is shown as '?'. */
static void write_text(trace *t, const char *text)
{
    for (; *text; text++) fputc(*text < ' ' || *text > '~' || *text == '"' || *text == '\\' ? '?' : *text, t->file);
}

static void write_process(trace *t, const run_spans_event *event)
{
    separate(t);
    fprintf(t->file, "{\"ph\":\"M\",\"pid\":%d,\"name\":\"process_name\",\"args\":{\"name\":\"rank %d on ", event->rank,
            event->rank);
    write_text(t, event->host);
    fputs("\"}}", t->file);
    separate(t);
    fprintf(t->file, "{\"ph\":\"M\",\"pid\":%d,\"name\":\"process_sort_index\",\"args\":{\"sort_index\":%d}}", event->rank,
            event->rank);
    if (event->round_trip_s == 0 && event->limits.flops == 0) return;
    separate(t);
    fprintf(t->file, "{\"ph\":\"M\",\"pid\":%d,\"name\":\"process_labels\",\"args\":{\"labels\":\"", event->rank);
    if (event->round_trip_s > 0) fprintf(t->file, "clock +-%.1f us", event->round_trip_s / 2 * 1e6);
    if (event->round_trip_s > 0 && event->limits.flops > 0) fputs(", ", t->file);
    if (event->limits.flops > 0)
        fprintf(t->file, "at most %.4g GFLOP/s and %.3g GB/s", event->limits.flops * 1e-9, event->limits.bytes * 1e-9);
    fputs("\"}}", t->file);
}

static void write_line(trace *t, int rank, uint32_t line)
{
    char name[32] = "training";
    if (line == SPAN_SAVING) snprintf(name, sizeof name, "writing of checkpoints");
    if (line >= SPAN_MESSAGES) snprintf(name, sizeof name, "messages %u", (unsigned)(line - SPAN_MESSAGES + 1));
    separate(t);
    fprintf(t->file, "{\"ph\":\"M\",\"pid\":%d,\"tid\":%u,\"name\":\"thread_name\",\"args\":{\"name\":\"%s\"}}", rank,
            (unsigned)line, name);
    separate(t);
    fprintf(t->file, "{\"ph\":\"M\",\"pid\":%d,\"tid\":%u,\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%u}}", rank,
            (unsigned)line, (unsigned)line);
}

static void write_lines(trace *t, const run_spans_event *event)
{
    uint32_t lines = 0;
    for (size_t i = 0; i < event->count; i++)
        if (event->spans[i].line >= lines) lines = event->spans[i].line + 1;
    for (uint32_t line = 0; line < lines; line++) write_line(t, event->rank, line);
}

/* Of the rate at which the machine could do this work at most: its operations or its traffic, whichever takes longer. */
static double limit_share(const span_limits *limits, span_work work, double seconds)
{
    double least_s = work.flops / limits->flops, traffic_s = work.bytes / limits->bytes;
    return (least_s > traffic_s ? least_s : traffic_s) / seconds;
}

static void write_work(trace *t, const span_limits *limits, span_work work, double seconds)
{
    if (work.flops == 0) return;
    fprintf(t->file, ",\"gflop\":%.9g", work.flops * 1e-9);
    if (seconds <= 0) return;
    fprintf(t->file, ",\"gflop_per_s\":%.6g", work.flops * 1e-9 / seconds);
    if (limits->flops > 0) fprintf(t->file, ",\"limit_share\":%.4g", limit_share(limits, work, seconds));
}

static void write_span(trace *t, const run_spans_event *event, const span *one)
{
    double seconds = one->end_s - one->start_s;
    separate(t);
    fprintf(t->file, "{\"ph\":\"X\",\"pid\":%d,\"tid\":%u,\"name\":\"%s\",\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"step\":%llu",
            event->rank, (unsigned)one->line, one->name, (one->start_s - event->origin_s) * 1e6, seconds * 1e6,
            (unsigned long long)one->step);
    write_work(t, &event->limits, one->work, seconds);
    fputs("}}", t->file);
}

static void complete(trace *t)
{
    if (!t->complete) fputs("\n]}\n", t->file);
    t->complete = true;
    fflush(t->file);
}

static void on_spans(void *context, const run_spans_event *event)
{
    trace *t = context;
    write_process(t, event);
    write_lines(t, event);
    for (size_t i = 0; i < event->count; i++) write_span(t, event, &event->spans[i]);
    if (event->rank + 1 == event->ranks) complete(t);
}

run_observer trace_observer(trace *t) { return (run_observer){.context = t, .spans = on_spans}; }

void trace_close(trace *t)
{
    if (!t) return;
    complete(t);
    int failed = ferror(t->file);
    if (fclose(t->file) != 0 || failed) vgg_log(VGG_LOG_WARNING, "--trace %s: could not be written completely", t->path);
    free(t->path);
    free(t);
}

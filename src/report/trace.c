#include "vgg11/report/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vgg11/base/clock.h"
#include "vgg11/base/file.h"
#include "vgg11/base/log.h"

struct trace {
    FILE *file;
    char *path;
    double origin_s;
    bool written; /* any event, so that the next needs a comma */
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
    t->origin_s = clock_now_s();
    fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[", t->file);
    *out = t;
    return VGG_OK;
}

/* What goes on beside the training, a timeline shows in a line of its own. */
enum { TRAINING, SAVING };

/* A span of `seconds` that starts `start_s` after the trace began; the step goes into its details. */
static void span(trace *t, int line, const char *name, double start_s, double seconds, uint64_t step)
{
    fprintf(t->file, "%s\n{\"ph\":\"X\",\"pid\":0,\"tid\":%d,\"name\":\"%s\",\"ts\":%.1f,\"dur\":%.1f,\"args\":{\"step\":%llu}}",
            t->written ? "," : "", line, name, start_s * 1e6, seconds * 1e6, (unsigned long long)step);
    t->written = true;
}

/* The event comes at the end of a step, and a step's parts follow each other. */
static void on_step(void *context, const run_step_event *event)
{
    trace *t = context;
    double start_s = clock_now_s() - t->origin_s - event->step_s;
    span(t, TRAINING, "step", start_s, event->step_s, event->step);
    span(t, TRAINING, "compute", start_s, event->compute_s, event->step);
    span(t, TRAINING, "exchange (not hidden)", start_s + event->compute_s, event->exchange_s, event->step);
    span(t, TRAINING, "update", start_s + event->compute_s + event->exchange_s, event->update_s, event->step);
}

static void on_skip(void *context, const run_skip_event *event)
{
    trace *t = context;
    span(t, TRAINING, "step that changed nothing", clock_now_s() - t->origin_s - event->step_s, event->step_s, event->step);
}

static void on_eval(void *context, const run_eval_event *event)
{
    trace *t = context;
    span(t, TRAINING, "evaluation", clock_now_s() - t->origin_s - event->eval_s, event->eval_s, event->step);
}

static void on_checkpoint(void *context, const run_checkpoint_event *event)
{
    trace *t = context;
    double end_s = clock_now_s() - t->origin_s - event->since_s;
    span(t, SAVING, "checkpoint", end_s - event->save_s, event->save_s, event->step);
}

run_observer trace_observer(trace *t)
{
    return (run_observer){.context = t, .step = on_step, .skip = on_skip, .eval = on_eval, .checkpoint = on_checkpoint};
}

void trace_close(trace *t)
{
    if (!t) return;
    fputs("\n]}\n", t->file);
    int failed = ferror(t->file);
    if (fclose(t->file) != 0 || failed) vgg_log(VGG_LOG_WARNING, "--trace %s: could not be written completely", t->path);
    free(t->path);
    free(t);
}

#include "vgg11/base/spans.h"

#include <stdio.h>
#include <stdlib.h>

vgg_status span_log_open(size_t capacity, span_log **out)
{
    span_log *log = calloc(1, sizeof *log);
    if (log) log->spans = calloc(capacity, sizeof *log->spans);
    if (!log || !log->spans) {
        free(log);
        return vgg_fail(VGG_UNAVAILABLE, "no memory for a trace of %zu spans", capacity);
    }
    log->capacity = capacity;
    *out = log;
    return VGG_OK;
}

void span_log_close(span_log *log)
{
    if (!log) return;
    free(log->spans);
    free(log);
}

void span_add(span_log *log, uint32_t line, const char *what, const char *part, double start_s, double end_s, span_work work)
{
    if (!log) return;
    if (log->count == log->capacity) {
        log->lost++;
        return;
    }
    span *added = &log->spans[log->count++];
    *added = (span){.line = line, .start_s = start_s, .end_s = end_s, .step = log->step, .work = work};
    snprintf(added->name, sizeof added->name, "%s%s%s", what, part ? " " : "", part ? part : "");
}

/* A timeline of the run in Chrome's trace-event format (chrome://tracing, Perfetto): what rank 0 did in each step. */
#ifndef VGG11_REPORT_TRACE_H
#define VGG11_REPORT_TRACE_H

#include "vgg11/base/run_events.h"
#include "vgg11/base/status.h"

typedef struct trace trace;

/* Creates the file `path`, or empties it. VGG_IO_ERROR if that fails. Rank 0 only. The caller closes. */
vgg_status trace_open(const char *path, trace **out);

/* Completes the file; warns once if any write failed. NULL is fine. */
void trace_close(trace *t);

run_observer trace_observer(trace *t);

#endif

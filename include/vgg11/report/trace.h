/* A timeline of some steps of all ranks in Chrome's trace-event format (chrome://tracing, ui.perfetto.dev; "Trace Event Format", Google,
 * 2016): a process for each rank, named and sorted, and in it a thread for each line of base/spans.h. Spans are events of phase X, times in
 * microseconds since the trace began, by rank 0's clock. The arguments of each have the step; those of a layer also the operations of
 * model_layer_flops(), in units of 1e9, these by the span's time, and, where the event says what the machine can do, the share of that
 * which this is: the least time by the roofline model over the span's. */
#ifndef VGG11_REPORT_TRACE_H
#define VGG11_REPORT_TRACE_H

#include "vgg11/base/run_events.h"
#include "vgg11/base/status.h"

typedef struct trace trace;

/* Creates the file `path`, or empties it. VGG_IO_ERROR if that fails. Rank 0 only. The caller closes. */
vgg_status trace_open(const char *path, trace **out);

/* Warns once if any write failed. NULL is fine. */
void trace_close(trace *t);

/* Its `spans` writes. The file is complete with those of the last rank, or when it is closed. */
run_observer trace_observer(trace *t);

#endif

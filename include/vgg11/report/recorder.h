/* The run folder's files: metrics.jsonl as the run goes, history.csv with each epoch, summary.json and plots at its end. Rank 0 only. */
#ifndef VGG11_REPORT_RECORDER_H
#define VGG11_REPORT_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "vgg11/base/run_events.h"
#include "vgg11/base/status.h"

typedef struct recorder recorder;

/* Opens <folder>/metrics.jsonl. With `resume_step` > 0 it is continued: lines of later steps, and a torn last line, are
 * cut off first, and kept in <aside>/metrics.jsonl; with 0 all lines are. VGG_IO_ERROR if that fails. `config_json` goes into the
 * summary. */
vgg_status recorder_open(const char *folder, uint64_t resume_step, const char *aside, const char *config_json, recorder **out);

/* The JSON object that summary.json has as "provenance". VGG_UNAVAILABLE without memory. */
vgg_status recorder_set_provenance(recorder *r, const char *json);

/* Flushes and closes; warns once if any write failed. Writes summary.json if the run's end was seen, and plots/ (SVG, by
 * gnuplot where it is installed; otherwise one line says that it is not). What fails here is said and no more: vgg_message() stays what
 * it was, which may be why the run ended. NULL is fine. */
void recorder_close(recorder *r);

run_observer recorder_observer(recorder *r);

#endif

/* Private to report: a run's sums over all processes that had a part in it, from metrics.jsonl. */
#ifndef VGG11_REPORT_TOTALS_H
#define VGG11_REPORT_TOTALS_H

#include <jansson.h>
#include <stdint.h>

#include "vgg11/base/run_events.h"

typedef struct {
    uint64_t processes; /* that began */
    uint64_t steps;
    uint64_t skipped; /* of these, those that changed nothing */
    uint64_t images;
    uint64_t evaluations;
    double train_s;
    double exchange_s; /* exposed, in all steps */
    double eval_s;
    double stall_s;   /* that training waited for checkpoints */
    double wall_s;    /* of processes that came to their end; of others what they told of */
    double unended_s; /* told of by a process whose end has not come */
    uint64_t memory_peak_bytes;
} run_totals;

/* Adds what a line of metrics.jsonl tells; NULL tells nothing. */
void totals_add_line(run_totals *totals, const json_t *line);

/* Adds a process that begins, skips a step, waits for a checkpoint, evaluates, and ends. */
void totals_add_start(run_totals *totals);
void totals_add_eval(run_totals *totals, const run_eval_event *event);
void totals_add_skip(run_totals *totals);
void totals_add_stall(run_totals *totals, double stall_s);
void totals_add_end(run_totals *totals, const run_end_event *event);

#endif

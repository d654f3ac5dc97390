/* Private to report: all that metrics.jsonl tells of a run, as it stands. */
#ifndef VGG11_REPORT_RUN_RECORD_H
#define VGG11_REPORT_RUN_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "report/series.h"
#include "report/totals.h"
#include "vgg11/base/status.h"

/* Columns of the two series; STEP_CLIPPED is 1 for a step whose gradient was scaled, 0 for another. */
enum {
    STEP_NUMBER,
    STEP_EPOCH,
    STEP_SAMPLES,
    STEP_LOSS,
    STEP_ACCURACY,
    STEP_RATE,
    STEP_NORM,
    STEP_CLIPPED,
    STEP_SPEED,
    STEP_SECONDS,
    STEP_COMPUTE,
    STEP_EXCHANGE,
    STEP_UPDATE
};
enum { EVAL_STEP, EVAL_EPOCH, EVAL_LOSS, EVAL_ACCURACY };

/* Places along the steps. */
typedef struct {
    double *steps;
    size_t count, capacity;
} run_marks;

/* Steps and evaluations that the run has left by going back are not in the series. */
typedef struct {
    series steps, evals;
    run_marks resumed, returned; /* the steps after which a process went on, and to which the run went back */
    run_totals totals;
    double compute_s, update_s;        /* sums */
    json_t *first_start, *start, *end; /* lines, of the first process and of the last; NULL for one that is not there */
    json_t *confusion;                 /* of the last evaluation: rows of counts; NULL if it was not recorded */
    json_t *mistakes;                  /* and its surest wrong answers: a list of objects; or NULL */
    char *last_time;                   /* of the last line; or NULL */
    uint64_t lines, unreadable;
    bool starved; /* there was no memory for something of it */
} run_record;

/* Reads <folder>/metrics.jsonl. Lines that are no JSON, such as one that is being written, are counted and passed over. VGG_IO_ERROR,
 * naming it, if it cannot be read or none of its lines is of a run, VGG_UNAVAILABLE without memory. run_record_free() in any case. */
vgg_status run_record_read(const char *folder, run_record *record);
void run_record_free(run_record *record);

#endif

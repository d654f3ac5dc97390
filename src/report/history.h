/* Private to report: history.csv, a line an epoch, as keras.callbacks.CSVLogger writes it. */
#ifndef VGG11_REPORT_HISTORY_H
#define VGG11_REPORT_HISTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/run_events.h"
#include "vgg11/base/status.h"

/* An epoch that has ended: means over its steps, what its evaluation gave, and the rate of its last step. */
typedef struct {
    uint64_t epoch; /* 1 for the first */
    double accuracy, loss, test_accuracy, test_loss, lr;
} history_row;

typedef struct {
    history_row *rows; /* [count], by epoch */
    size_t count;
    size_t capacity;
    uint64_t steps_per_epoch;
    double lr;
    bool unwritten; /* it is not what was last written */
    bool starved;   /* a row is missing, for which there was no memory */
} history;

void history_free(history *h);

/* What a line of metrics.jsonl tells; NULL tells nothing. */
void history_add_line(history *h, const json_t *line);

/* The run begins, steps, is evaluated, and goes back. */
void history_add_start(history *h, const run_start_event *event);
void history_add_step(history *h, const run_step_event *event);
void history_add_eval(history *h, const run_eval_event *event);
void history_go_back(history *h, const run_rollback_event *event);

/* Writes <folder>/history.csv, whole or not at all, unless it is as it was last written: columns epoch (0 for the first), accuracy, learning_rate, loss, val_accuracy,
 * val_loss (of the test or validation set); what is not known is left empty. VGG_UNAVAILABLE if a row is missing. */
vgg_status history_write(history *h, const char *folder);

#endif

/* Private to report: history.csv, a line an epoch, as keras.callbacks.CSVLogger writes it. */
#ifndef VGG11_REPORT_HISTORY_H
#define VGG11_REPORT_HISTORY_H

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
} history;

/* What the lines of metrics.jsonl tell of epochs that have ended. VGG_UNAVAILABLE without memory. history_free() frees. */
vgg_status history_read(history *h, const char *metrics_path);
void history_free(history *h);

/* The run begins, steps, is evaluated (VGG_UNAVAILABLE without memory), and goes back. */
void history_add_start(history *h, const run_start_event *event);
void history_add_step(history *h, const run_step_event *event);
vgg_status history_add_eval(history *h, const run_eval_event *event);
void history_go_back(history *h, const run_rollback_event *event);

/* Writes <folder>/history.csv, whole or not at all: columns epoch (0 for the first), accuracy, learning_rate, loss, val_accuracy,
 * val_loss (of the test or validation set); what is not known is left empty. */
vgg_status history_write(const history *h, const char *folder);

#endif

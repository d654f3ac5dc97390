#include "report/run_record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report/metrics_file.h"
#include "vgg11/base/file.h"

enum { PATH_BYTES = 4200 };

static const char *const step_fields[SERIES_COLUMNS] = {
    [STEP_NUMBER] = "step",    [STEP_EPOCH] = "epoch",        [STEP_SAMPLES] = "samples",
    [STEP_LOSS] = "loss",      [STEP_ACCURACY] = "accuracy",  [STEP_RATE] = "lr",
    [STEP_NORM] = "grad_norm", [STEP_CLIPPED] = "clip_scale", [STEP_SPEED] = "images_per_second",
    [STEP_SECONDS] = "step_s", [STEP_COMPUTE] = "compute_s",  [STEP_EXCHANGE] = "exchange_s",
    [STEP_UPDATE] = "update_s"};
static const char *const eval_fields[SERIES_COLUMNS] = {
    [EVAL_STEP] = "step", [EVAL_EPOCH] = "epoch", [EVAL_LOSS] = "test_loss", [EVAL_ACCURACY] = "test_accuracy"};

/* Keeps the line in place of the one before it; NULL for none. */
static void keep(json_t **kept, const json_t *line)
{
    json_decref(*kept);
    *kept = line ? json_incref((json_t *)line) : NULL;
}

/* Rows of later steps than `step`, which the run has gone back behind. */
static void forget_after(series *rows, double step)
{
    while (rows->count > 0 && rows->values[rows->count - 1][0] > step) rows->count--;
}

static void go_back(run_record *record, double step)
{
    size_t evals = record->evals.count;
    forget_after(&record->steps, step);
    forget_after(&record->evals, step);
    if (record->evals.count == evals) return;
    keep(&record->confusion, NULL);
    keep(&record->mistakes, NULL);
}

static void mark(run_record *record, run_marks *marks, double step)
{
    if (marks->count == marks->capacity) {
        size_t capacity = marks->capacity ? 2 * marks->capacity : 16;
        double *steps = realloc(marks->steps, capacity * sizeof *steps);
        if (!steps) record->starved = true;
        if (!steps) return;
        marks->steps = steps;
        marks->capacity = capacity;
    }
    marks->steps[marks->count++] = step;
}

static void add_start(run_record *record, const json_t *line)
{
    double step = metrics_number(line, "step");
    if (!record->first_start) keep(&record->first_start, line);
    keep(&record->start, line);
    keep(&record->end, NULL);
    if (step > 0) mark(record, &record->resumed, step);
    go_back(record, step);
}

/* NULL for a line that names no step. */
static double *add_row(run_record *record, series *rows, const json_t *line, const char *const fields[SERIES_COLUMNS])
{
    if (!json_is_number(json_object_get(line, fields[0]))) return NULL;
    double step = metrics_number(line, fields[0]);
    while (rows->count > 0 && rows->values[rows->count - 1][0] >= step) rows->count--;
    bool added = series_add(rows, line, fields);
    if (!added) record->starved = true;
    return added ? rows->values[rows->count - 1] : NULL;
}

static void add_step(run_record *record, const json_t *line)
{
    double *row = add_row(record, &record->steps, line, step_fields);
    if (row && isfinite(row[STEP_CLIPPED])) row[STEP_CLIPPED] = row[STEP_CLIPPED] < 1;
    record->compute_s += metrics_number(line, "compute_s");
    record->update_s += metrics_number(line, "update_s");
}

static void add_eval(run_record *record, const json_t *line)
{
    if (!add_row(record, &record->evals, line, eval_fields)) return;
    keep(&record->confusion, json_object_get(line, "confusion"));
    keep(&record->mistakes, json_object_get(line, "mistakes"));
}

static void add_rollback(run_record *record, const json_t *line)
{
    double step = metrics_number(line, "step");
    mark(record, &record->returned, step);
    go_back(record, step);
}

static void add_end(run_record *record, const json_t *line) { keep(&record->end, line); }

/* What else there is, the sums know. */
static void add_other(run_record *record, const json_t *line) { (void)record, (void)line; }

static const struct {
    const char *event;
    void (*add)(run_record *record, const json_t *line);
} kinds[] = {{"start", add_start},      {"step", add_step},         {"skip", add_other}, {"eval", add_eval},
             {"checkpoint", add_other}, {"rollback", add_rollback}, {"end", add_end}};

static void keep_time(run_record *record, const json_t *line)
{
    const char *time = json_string_value(json_object_get(line, "time"));
    if (!time) return;
    char *copy = strdup(time);
    if (!copy) record->starved = true;
    free(record->last_time);
    record->last_time = copy;
}

static void add_line(void *context, const json_t *line)
{
    run_record *record = context;
    const char *event = json_string_value(json_object_get(line, "event"));
    if (!event) record->unreadable++;
    for (size_t i = 0; event && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].event, event) != 0) continue;
        record->lines++;
        kinds[i].add(record, line);
        totals_add_line(&record->totals, line);
        keep_time(record, line);
    }
}

/* metrics_file_read() passes over a file that is not there. */
static vgg_status check_file(const char *path)
{
    int file;
    VGG_TRY(file_open_to_read(path, &file));
    close(file);
    return VGG_OK;
}

vgg_status run_record_read(const char *folder, run_record *record)
{
    char path[PATH_BYTES];
    memset(record, 0, sizeof *record);
    if (snprintf(path, sizeof path, "%s/metrics.jsonl", folder) >= (int)sizeof path)
        return vgg_fail(VGG_IO_ERROR, "%s: name of the run folder is too long", folder);
    VGG_TRY(check_file(path));
    VGG_TRY(metrics_file_read(path, add_line, record));
    if (record->starved) return vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory to read it", path);
    if (record->lines == 0) return vgg_fail(VGG_IO_ERROR, "%s: holds no line of a run", path);
    return VGG_OK;
}

void run_record_free(run_record *record)
{
    series_free(&record->steps);
    series_free(&record->evals);
    free(record->resumed.steps);
    free(record->returned.steps);
    json_decref(record->first_start);
    json_decref(record->start);
    json_decref(record->end);
    json_decref(record->confusion);
    json_decref(record->mistakes);
    free(record->last_time);
    memset(record, 0, sizeof *record);
}

#include "report/history.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/metrics_file.h"
#include "vgg11/base/file.h"

enum { PATH_BYTES = 4200 };

void history_free(history *h)
{
    free(h->rows);
    *h = (history){0};
}

static bool make_room(history *h)
{
    if (h->count < h->capacity) return true;
    size_t capacity = h->capacity ? 2 * h->capacity : 16;
    history_row *rows = realloc(h->rows, capacity * sizeof *rows);
    if (!rows) return false;
    h->rows = rows;
    h->capacity = capacity;
    return true;
}

/* What a resumed run has left behind is not in its history any more. */
void history_add_start(history *h, const run_start_event *event)
{
    h->steps_per_epoch = event->steps_per_epoch;
    h->unwritten = true;
}

void history_add_step(history *h, const run_step_event *event) { h->lr = event->lr; }

/* A run that was stopped in an evaluation makes it anew: its row takes the place of what the epoch had. */
void history_add_eval(history *h, const run_eval_event *event)
{
    if (h->steps_per_epoch == 0 || event->step % h->steps_per_epoch != 0) return;
    const history_row row = {.epoch = event->step / h->steps_per_epoch,
                             .accuracy = event->train_accuracy,
                             .loss = event->train_loss,
                             .test_accuracy = event->test_accuracy,
                             .test_loss = event->test_loss,
                             .lr = h->lr};
    while (h->count > 0 && h->rows[h->count - 1].epoch >= row.epoch) h->count--;
    h->unwritten = true;
    if (make_room(h))
        h->rows[h->count++] = row;
    else
        h->starved = true;
}

void history_go_back(history *h, const run_rollback_event *event)
{
    while (h->count > 0 && h->rows[h->count - 1].epoch * h->steps_per_epoch > event->step) h->count--;
    h->unwritten = true;
}

/* NaN for null, which stands for what is not finite or not known. */
static double real_of(const json_t *line, const char *field)
{
    const json_t *value = json_object_get(line, field);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

void history_add_line(history *h, const json_t *line)
{
    const char *name = json_string_value(json_object_get(line, "event")), *event = name ? name : "";
    uint64_t step = metrics_count(line, "step");
    if (strcmp(event, "start") == 0)
        history_add_start(h, &(run_start_event){.steps_per_epoch = metrics_count(line, "steps_per_epoch")});
    else if (strcmp(event, "step") == 0)
        history_add_step(h, &(run_step_event){.lr = real_of(line, "lr")});
    else if (strcmp(event, "rollback") == 0)
        history_go_back(h, &(run_rollback_event){.step = step});
    else if (strcmp(event, "eval") == 0)
        history_add_eval(h, &(run_eval_event){.step = step,
                                              .train_loss = real_of(line, "train_loss"),
                                              .train_accuracy = real_of(line, "train_accuracy"),
                                              .test_loss = real_of(line, "test_loss"),
                                              .test_accuracy = real_of(line, "test_accuracy")});
}

static void print_real(FILE *out, double value, const char *end)
{
    if (isfinite(value)) fprintf(out, "%.9g", value);
    fputs(end, out);
}

static void print_rows(const history *h, FILE *out)
{
    fputs("epoch,accuracy,learning_rate,loss,val_accuracy,val_loss\n", out);
    for (size_t i = 0; i < h->count; i++) {
        const history_row *row = &h->rows[i];
        fprintf(out, "%llu,", (unsigned long long)row->epoch - 1);
        print_real(out, row->accuracy, ",");
        print_real(out, row->lr, ",");
        print_real(out, row->loss, ",");
        print_real(out, row->test_accuracy, ",");
        print_real(out, row->test_loss, "\n");
    }
}

vgg_status history_write(history *h, const char *folder)
{
    char path[PATH_BYTES], *text = NULL;
    size_t bytes = 0;
    if (!h->unwritten) return VGG_OK;
    snprintf(path, sizeof path, "%s/history.csv", folder);
    if (h->starved) return vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory", path);
    FILE *out = open_memstream(&text, &bytes);
    if (out) print_rows(h, out);
    bool whole = out && !ferror(out);
    if (out && fclose(out) != 0) whole = false;
    vgg_status status = whole ? file_replace_text(path, text, bytes) : vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory", path);
    free(text);
    if (status == VGG_OK) h->unwritten = false;
    return status;
}

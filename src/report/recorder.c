#include "vgg11/report/recorder.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/count_matrix.h"
#include "report/history.h"
#include "report/metrics_file.h"
#include "report/mistake_list.h"
#include "report/plots.h"
#include "report/summary.h"
#include "report/totals.h"
#include "vgg11/base/log.h"

enum { PATH_BYTES = 4200 };

struct recorder {
    char *folder;
    char *config_json;
    metrics_file metrics;
    run_start_event start;
    run_end_event end;
    char message[VGG_MESSAGE_MAX];
    char exchange[VGG_MESSAGE_MAX];
    bool ended;
    run_totals totals;
    history history;
    char *provenance_json;
    json_t *confusion; /* of the last evaluation; or NULL */
};

/* Takes the reference over. */
static void keep_confusion(recorder *r, json_t *confusion)
{
    json_decref(r->confusion);
    r->confusion = confusion;
}

static void add_line(void *context, const json_t *line)
{
    recorder *r = context;
    json_t *confusion = json_object_get(line, "confusion");
    if (confusion) keep_confusion(r, json_incref(confusion));
    totals_add_line(&r->totals, line);
    history_add_line(&r->history, line);
}

/* The sums of the lines that stay are those of the processes before this one. */
static vgg_status open_metrics(recorder *r, uint64_t resume_step, const char *aside)
{
    if (!r->folder || !r->config_json) return vgg_fail(VGG_UNAVAILABLE, "not enough memory to record the run");
    char path[PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/metrics.jsonl", r->folder) >= (int)sizeof path) {
        return vgg_fail(VGG_IO_ERROR, "%s: name of the run folder is too long", r->folder);
    }
    VGG_TRY(metrics_file_open(&r->metrics, path, resume_step, aside));
    vgg_status status = metrics_file_read(path, add_line, r);
    if (status != VGG_OK) metrics_file_close(&r->metrics);
    return status;
}

static void free_recorder(recorder *r)
{
    free(r->folder);
    free(r->config_json);
    free(r->provenance_json);
    json_decref(r->confusion);
    history_free(&r->history);
    free(r);
}

vgg_status recorder_open(const char *folder, uint64_t resume_step, const char *aside, const char *config_json, recorder **out)
{
    recorder *r = calloc(1, sizeof *r);
    if (!r) return vgg_fail(VGG_UNAVAILABLE, "not enough memory to record the run");
    r->folder = strdup(folder);
    r->config_json = strdup(config_json ? config_json : "");
    vgg_status status = open_metrics(r, resume_step, aside);
    if (status != VGG_OK)
        free_recorder(r);
    else
        *out = r;
    return status;
}

vgg_status recorder_set_provenance(recorder *r, const char *json)
{
    free(r->provenance_json);
    r->provenance_json = strdup(json);
    return r->provenance_json ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "not enough memory to record the run");
}

static void on_start(void *context, const run_start_event *event)
{
    recorder *r = context;
    r->start = *event;
    snprintf(r->exchange, sizeof r->exchange, "%s", event->exchange ? event->exchange : "");
    r->start.exchange = r->exchange;
    r->start.algorithms = NULL; /* the trainer's; only now */
    totals_add_start(&r->totals);
    history_add_start(&r->history, event);
    history_write(&r->history, r->folder); /* what cannot be written now is tried again with the next epoch, and at the end */
    metrics_file_append(&r->metrics,
                        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:i, s:i, s:s, s:s, s:o}", "event", "start",
                                  "step", (json_int_t)event->step, "epoch", (json_int_t)event->epoch, "epochs",
                                  (json_int_t)event->epochs, "steps_total", (json_int_t)event->steps_total, "steps_per_epoch",
                                  (json_int_t)event->steps_per_epoch, "train_samples", (json_int_t)event->train_samples,
                                  "test_samples", (json_int_t)event->test_samples, "evaluated_on", event->evaluated_on,
                                  "batch_size", (json_int_t)event->batch_size, "ranks", event->ranks, "threads", event->threads,
                                  "exchange", r->exchange, "algorithms", event->algorithms ? event->algorithms : "", "startup_s",
                                  metrics_real(event->startup_s)));
}

static void on_step(void *context, const run_step_event *event)
{
    recorder *r = context;
    history_add_step(&r->history, event);
    metrics_file_append(
        &r->metrics, json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "event", "step", "step",
                               (json_int_t)event->step, "epoch", (json_int_t)event->epoch, "samples", (json_int_t)event->samples,
                               "loss", metrics_real(event->loss), "accuracy", metrics_real(event->accuracy), "lr",
                               metrics_real(event->lr), "grad_norm", metrics_real(event->grad_norm), "clip_scale",
                               metrics_real(event->clip_scale), "images_per_second", metrics_real(event->samples / event->step_s),
                               "step_s", metrics_real(event->step_s), "compute_s", metrics_real(event->compute_s), "exchange_s",
                               metrics_real(event->exchange_s), "update_s", metrics_real(event->update_s)));
}

static void on_eval(void *context, const run_eval_event *event)
{
    recorder *r = context;
    keep_confusion(r, event->confusion ? count_matrix_json(event->confusion, event->classes, event->classes) : NULL);
    totals_add_eval(&r->totals, event);
    history_add_eval(&r->history, event);
    history_write(&r->history, r->folder);
    metrics_file_append(&r->metrics,
                        json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:b, s:O*, s:o*}", "event", "eval", "epoch",
                                  (json_int_t)event->epoch, "step", (json_int_t)event->step, "train_loss",
                                  metrics_real(event->train_loss), "train_accuracy", metrics_real(event->train_accuracy),
                                  "test_loss", metrics_real(event->test_loss), "test_accuracy", metrics_real(event->test_accuracy),
                                  "samples", (json_int_t)event->samples, "eval_s", metrics_real(event->eval_s), "train_s",
                                  metrics_real(event->train_s), "best", event->best, "confusion", r->confusion, "mistakes",
                                  event->mistakes ? mistake_list_json(event->mistakes, event->mistake_count) : NULL));
}

static void on_checkpoint(void *context, const run_checkpoint_event *event)
{
    recorder *r = context;
    totals_add_stall(&r->totals, event->stall_s);
    metrics_file_append(&r->metrics, json_pack("{s:s, s:I, s:s, s:I, s:o, s:o}", "event", "checkpoint", "step",
                                               (json_int_t)event->step, "path", event->path, "bytes", (json_int_t)event->bytes,
                                               "save_s", metrics_real(event->save_s), "stall_s", metrics_real(event->stall_s)));
}

static void on_skip(void *context, const run_skip_event *event)
{
    recorder *r = context;
    totals_add_skip(&r->totals);
    metrics_file_append(&r->metrics, json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:I, s:o, s:o}", "event", "skip", "step",
                                               (json_int_t)event->step, "epoch", (json_int_t)event->epoch, "loss",
                                               metrics_real(event->loss), "grad_norm", metrics_real(event->grad_norm), "lr",
                                               metrics_real(event->lr), "in_row", (json_int_t)event->in_row, "step_s",
                                               metrics_real(event->step_s), "exchange_s", metrics_real(event->exchange_s)));
}

static void on_rollback(void *context, const run_rollback_event *event)
{
    recorder *r = context;
    history_go_back(&r->history, event);
    metrics_file_append(&r->metrics, json_pack("{s:s, s:I, s:I, s:s}", "event", "rollback", "step", (json_int_t)event->step,
                                               "from_step", (json_int_t)event->from_step, "path", event->path));
}

static void on_end(void *context, const run_end_event *event)
{
    recorder *r = context;
    r->end = *event;
    r->ended = true;
    totals_add_end(&r->totals, event);
    snprintf(r->message, sizeof r->message, "%s", event->message ? event->message : "");
    metrics_file_append(
        &r->metrics,
        json_pack("{s:s, s:i, s:s, s:I, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:I}", "event", "end", "status", event->status,
                  "message", r->message, "step", (json_int_t)event->step, "wall_s", metrics_real(event->wall_s), "train_s",
                  metrics_real(event->train_s), "step_s", metrics_real(event->step_s), "exchange_s",
                  metrics_real(event->exchange_s), "skipped_steps", (json_int_t)event->skipped, "images", (json_int_t)event->images,
                  "best_accuracy", metrics_real(event->best_accuracy), "final_accuracy", metrics_real(event->final_accuracy),
                  "final_loss", metrics_real(event->final_loss), "memory_peak_bytes", (json_int_t)event->memory_peak_bytes));
}

run_observer recorder_observer(recorder *r)
{
    return (run_observer){.context = r,
                          .start = on_start,
                          .step = on_step,
                          .skip = on_skip,
                          .eval = on_eval,
                          .checkpoint = on_checkpoint,
                          .rollback = on_rollback,
                          .end = on_end};
}

void recorder_close(recorder *r)
{
    if (!r) return;
    vgg_kept_message kept = vgg_keep_message();
    metrics_file_close(&r->metrics);
    if (r->metrics.lines_lost || r->metrics.first_error) {
        vgg_log(VGG_LOG_WARNING, "%s/metrics.jsonl: %llu lines could not be written: %s", r->folder,
                (unsigned long long)r->metrics.lines_lost, strerror(r->metrics.first_error));
    }
    if (history_write(&r->history, r->folder) != VGG_OK) vgg_log(VGG_LOG_WARNING, "%s", vgg_message());
    if (r->ended) {
        vgg_status status = summary_write(r->folder, &r->start, &r->end, &r->totals, r->message, r->config_json, r->provenance_json,
                                          r->confusion);
        if (status != VGG_OK) vgg_log(VGG_LOG_WARNING, "%s", vgg_message());
        plots_draw(r->folder);
    }
    vgg_restore_message(&kept);
    free_recorder(r);
}

#include "report/summary.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "report/metrics_file.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/file.h"

enum { PATH_BYTES = 4200, REAL_DIGITS = 9 };

static json_t *run_object(const run_start_event *start)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:s, s:I, s:i, s:i, s:s, s:o}", "epochs", (json_int_t)start->epochs, "steps_total",
                     (json_int_t)start->steps_total, "train_samples", (json_int_t)start->train_samples, "test_samples",
                     (json_int_t)start->test_samples, "evaluated_on", start->evaluated_on, "batch_size",
                     (json_int_t)start->batch_size, "ranks", start->ranks, "threads", start->threads, "exchange",
                     start->exchange ? start->exchange : "", "startup_s", metrics_real(start->startup_s));
}

/* NULL without memory. */
static json_t *summary_object(const run_start_event *start, const run_end_event *end, const run_totals *totals, const char *message,
                              const char *config_json, const char *provenance_json, const json_t *confusion)
{
    double rate = totals->train_s > 0 ? (double)totals->images / totals->train_s : 0;
    double steps = totals->steps > 0 ? (double)totals->steps : 1;
    char ended[CLOCK_UTC_MAX];
    errno = 0;
    json_t *config = config_json ? json_parse_text(config_json) : NULL;
    json_t *provenance = provenance_json ? json_parse_text(provenance_json) : NULL;
    if ((!config || !provenance) && errno == ENOMEM) return NULL;
    return json_pack(
        "{s:i, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:I, s:I, s:s, s:o, s:o*, s:o*, s:O*}",
        "status", end->status, "message", message, "step", (json_int_t)end->step, "skipped_steps", (json_int_t)totals->skipped,
        "final_accuracy", metrics_real(end->final_accuracy), "final_loss", metrics_real(end->final_loss), "best_accuracy",
        metrics_real(end->best_accuracy), "wall_s", metrics_real(totals->wall_s), "train_s", metrics_real(totals->train_s),
        "step_s", metrics_real(totals->train_s / steps), "exchange_s", metrics_real(totals->exchange_s / steps),
        "images_per_second", metrics_real(rate), "images", (json_int_t)totals->images, "evaluations",
        (json_int_t)totals->evaluations, "eval_s", metrics_real(totals->eval_s), "save_stall_s", metrics_real(totals->stall_s),
        "processes", (json_int_t)totals->processes, "memory_peak_bytes", (json_int_t)totals->memory_peak_bytes, "ended",
        clock_utc(ended), "run", run_object(start), "provenance", provenance, "config", config, "confusion", confusion);
}

vgg_status summary_write(const char *folder, const run_start_event *start, const run_end_event *end, const run_totals *totals,
                         const char *message, const char *config_json, const char *provenance_json, const json_t *confusion)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/summary.json", folder);
    json_t *object = summary_object(start, end, totals, message, config_json, provenance_json, confusion);
    char *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(REAL_DIGITS)) : NULL;
    json_decref(object);
    if (!text) return vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory", path);
    vgg_status status = file_replace_text(path, text, strlen(text));
    free(text);
    return status;
}

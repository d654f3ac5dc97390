#include "vgg11/report/html_report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/html.h"
#include "report/html_charts.h"
#include "report/html_style.h"
#include "report/html_tables.h"
#include "report/json_file.h"
#include "report/metrics_file.h"
#include "report/run_name.h"
#include "report/run_record.h"
#include "report/text.h"
#include "vgg11/base/file.h"

typedef struct {
    char name[RUN_NAME_MAX];
    bool running;
    run_record record;
    json_t *config, *summary; /* NULL if they are not there, or no JSON */
    const char *set;          /* what is evaluated on */
} page;

static void print_head(FILE *out, const char *name)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
          out);
    html_text(out, name);
    fprintf(out, " - vgg11_dist</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n", html_style);
}

static void print_state(FILE *out, const char *kind, const char *state, const char *more)
{
    fprintf(out, "<p><span class=\"badge %s\">%s</span> ", kind, state);
    html_text(out, more);
    fputs("</p>\n", out);
}

static void print_unended(FILE *out, const page *p)
{
    if (p->running)
        print_state(out, "warn", "under way", "The run is going on; this page shows it as it stood when it was made.");
    else
        print_state(
            out, "bad", "no end recorded",
            "The run was killed, or goes on on a machine whose lock is not seen here. Once it has ended it can be resumed from its "
            "newest checkpoint.");
}

static void print_ended(FILE *out, const json_t *start, const json_t *end)
{
    const char *message = json_string_value(json_object_get(end, "message"));
    int status = (int)json_integer_value(json_object_get(end, "status"));
    uint64_t whole = metrics_count(start, "epochs") * metrics_count(start, "steps_per_epoch");
    char state[64];
    snprintf(state, sizeof state, "ended with status %d", status);
    if (status == VGG_STOPPED)
        print_state(out, "warn", "stopped", message ? message : "");
    else if (status != VGG_OK)
        print_state(out, "bad", state, message ? message : "");
    else if (metrics_count(end, "step") >= whole)
        print_state(out, "good", "complete", "");
    else
        print_state(out, "good", "complete", "It was told to end before its last epoch.");
}

static const char *plural(uint64_t count) { return count == 1 ? "" : "s"; }

static void print_setting(FILE *out, const page *p)
{
    const json_t *start = p->record.start, *began = json_object_get(p->record.first_start, "time");
    char train[TEXT_NUMBER_BYTES], test[TEXT_NUMBER_BYTES];
    uint64_t epochs = metrics_count(start, "epochs"), ranks = metrics_count(start, "ranks"),
             threads = metrics_count(start, "threads");
    fprintf(out,
            "<p>%s training and %s %s images, %" PRIu64 " epoch%s of %" PRIu64 " steps of %" PRIu64 " images, %" PRIu64
            " rank%s &times; %" PRIu64 " thread%s.",
            text_count(metrics_count(start, "train_samples"), train), text_count(metrics_count(start, "test_samples"), test),
            p->set, epochs, plural(epochs), metrics_count(start, "steps_per_epoch"), metrics_count(start, "batch_size"), ranks,
            plural(ranks), threads, plural(threads));
    if (json_is_string(began) && p->record.last_time) {
        fputs("</p>\n<p>Began ", out);
        html_text(out, json_string_value(began));
        fputs(", last heard of ", out);
        html_text(out, p->record.last_time);
        putc('.', out);
    }
    fputs("</p>\n", out);
}

static void print_tile(FILE *out, const char *value, const char *what, const char *more)
{
    fprintf(out, "<li><b>%s</b>%s%s</li>\n", value, what, more);
}

static void print_results(FILE *out, const page *p)
{
    const series *evals = &p->record.evals;
    size_t best = html_best_eval(&p->record);
    char value[64], what[64], more[64];
    if (best == evals->count) return;
    snprintf(value, sizeof value, "%.2f %%", 100 * evals->values[best][EVAL_ACCURACY]);
    snprintf(what, sizeof what, "best %s accuracy", p->set);
    snprintf(more, sizeof more, ", after step %.0f", evals->values[best][EVAL_STEP]);
    print_tile(out, value, what, more);
    double loss = evals->values[evals->count - 1][EVAL_LOSS];
    if (!isfinite(loss)) return;
    snprintf(value, sizeof value, "%.4f", loss);
    snprintf(what, sizeof what, "last %s loss", p->set);
    print_tile(out, value, what, "");
}

static void print_progress(FILE *out, const page *p)
{
    const series *steps = &p->record.steps;
    const double *last = steps->count ? steps->values[steps->count - 1] : NULL;
    uint64_t total = metrics_count(p->record.start, "steps_total"), epochs = metrics_count(p->record.start, "epochs");
    char done[TEXT_NUMBER_BYTES], all[TEXT_NUMBER_BYTES], what[96], more[64] = "";
    text_count(last && last[STEP_NUMBER] > 0 && last[STEP_NUMBER] < 1e15 ? (uint64_t)last[STEP_NUMBER] : 0, done);
    snprintf(what, sizeof what, "of %s steps", text_count(total, all));
    if (last && isfinite(last[STEP_EPOCH])) snprintf(more, sizeof more, ", in epoch %.0f of %" PRIu64, last[STEP_EPOCH], epochs);
    print_tile(out, done, what, more);
}

static void print_resources(FILE *out, const page *p)
{
    const run_totals *t = &p->record.totals;
    char value[TEXT_NUMBER_BYTES], more[64];
    if (t->train_s > 0) {
        snprintf(value, sizeof value, "%.0f", (double)t->images / t->train_s);
        print_tile(out, value, "images/s while training", "");
    }
    snprintf(more, sizeof more, " in %" PRIu64 " process%s", t->processes, t->processes == 1 ? "" : "es");
    print_tile(out, text_duration(t->wall_s + t->unended_s, value), "time", more);
    if (t->memory_peak_bytes) print_tile(out, text_bytes(t->memory_peak_bytes, value), "of memory a rank", ", at most");
    if (t->skipped) print_tile(out, text_count(t->skipped, value), "steps that changed nothing", "");
}

static void print_heading(FILE *out, const page *p)
{
    fputs("<header>\n<h1>Run <bdi>", out);
    html_text(out, p->name);
    fputs("</bdi></h1>\n", out);
    if (p->record.end)
        print_ended(out, p->record.start, p->record.end);
    else
        print_unended(out, p);
    print_setting(out, p);
    fputs("<ul class=\"tiles\">\n", out);
    print_results(out, p);
    print_progress(out, p);
    print_resources(out, p);
    fputs("</ul>\n</header>\n", out);
}

static void print_details(FILE *out, const char *title, const json_t *object)
{
    if (!json_is_object(object)) return;
    fprintf(out, "<details class=\"card\"><summary>%s</summary>\n", title);
    html_json(out, object);
    fputs("</details>\n", out);
}

static void print_settings(FILE *out, const page *p)
{
    json_t *chosen = json_pack("{s:O*, s:O*, s:O*, s:O*}", "ranks", json_object_get(p->config, "ranks"), "threads",
                               json_object_get(p->config, "threads"), "exchange", json_object_get(p->config, "exchange"),
                               "algorithms", json_object_get(p->config, "algorithms"));
    fputs("<section><h2>Settings and machine</h2>\n", out);
    if (!p->config) fputs("<p>config.json is not there, or cannot be read.</p>\n", out);
    print_details(out, "Options", json_object_get(p->config, "options"));
    if (p->config) print_details(out, "What was chosen", chosen);
    print_details(out, "Machine, program and libraries", json_object_get(p->config, "provenance"));
    json_decref(chosen);
    if (json_is_object(p->summary)) {
        json_object_del(p->summary, "config");
        json_object_del(p->summary, "provenance");
        json_object_del(p->summary, "confusion");
        print_details(out, p->record.end ? "Summary" : "Summary of the process before", p->summary);
    }
    fputs("</section>\n", out);
}

static void print_footer(FILE *out, const page *p)
{
    const run_record *record = &p->record;
    fprintf(out, "<footer>Made by vgg11_dist from %" PRIu64 " lines of metrics.jsonl", record->lines);
    if (record->unreadable) fprintf(out, "; %" PRIu64 " that cannot be read were passed over", record->unreadable);
    fputs(".</footer>\n</main>\n</body>\n</html>\n", out);
}

static void print_page(FILE *out, const page *p)
{
    print_head(out, p->name);
    print_heading(out, p);
    fputs("<section><h2>Training</h2>\n<div class=\"charts\">\n", out);
    double clip_norm = metrics_number(json_object_get(p->config, "options"), "clip-norm");
    html_write_charts(out, &p->record, p->set, clip_norm);
    fputs("</div></section>\n", out);
    html_write_epochs(out, &p->record, p->set);
    html_write_confusion(out, &p->record, p->set);
    html_write_mistakes(out, &p->record, p->set);
    html_write_phases(out, &p->record);
    print_settings(out, p);
    print_footer(out, p);
}

static vgg_status write_page(const page *p, const char *path)
{
    char *text = NULL;
    size_t bytes = 0;
    errno = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out) print_page(out, p);
    bool whole = out && !ferror(out) && errno != ENOMEM; /* then something of it may be missing */
    if (out && fclose(out) != 0) whole = false;
    vgg_status status = whole ? file_replace_text(path, text, bytes) : vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory", path);
    free(text);
    return status;
}

static vgg_status read_run(const char *folder, page *p)
{
    VGG_TRY(run_record_read(folder, &p->record));
    VGG_TRY(json_file_read(folder, "config.json", &p->config));
    VGG_TRY(json_file_read(folder, "summary.json", &p->summary));
    const char *set = json_string_value(json_object_get(p->record.start, "evaluated_on"));
    p->set = set && strcmp(set, "validation") == 0 ? "validation" : "test";
    return VGG_OK;
}

vgg_status html_report_write(const char *folder, const char *path, bool running)
{
    page p = {.running = running};
    errno = 0;
    run_name_of(folder, p.name);
    vgg_status status = errno == ENOMEM ? vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory", folder) : read_run(folder, &p);
    if (status == VGG_OK) status = write_page(&p, path);
    run_record_free(&p.record);
    json_decref(p.config);
    json_decref(p.summary);
    return status;
}

#include "report/html_tables.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "report/metrics_file.h"
#include "report/text.h"

enum { EPOCHS_MOST = 300, CLASSES_MOST = 100, MISTAKES_MOST = 100 };

size_t html_best_eval(const run_record *record)
{
    const series *evals = &record->evals;
    size_t best = evals->count;
    for (size_t i = 0; i < evals->count; i++) {
        double accuracy = evals->values[i][EVAL_ACCURACY];
        if (isfinite(accuracy) && (best == evals->count || accuracy > evals->values[best][EVAL_ACCURACY])) best = i;
    }
    return best;
}

/* A cell; a dash for what is not known. */
static void print_real(FILE *out, const char *format, double value)
{
    fputs("<td>", out);
    if (isfinite(value))
        fprintf(out, format, value);
    else
        fputs("&ndash;", out);
    fputs("</td>", out);
}

/* Steps of one epoch: values[first .. end-1]. */
typedef struct {
    size_t first, end;
    double samples, loss, correct, seconds; /* sums */
    double rate;                            /* of its last step */
} epoch_sums;

static epoch_sums sum_epoch(const series *steps, size_t first)
{
    epoch_sums sums = {.first = first, .end = first};
    double epoch = steps->values[first][STEP_EPOCH];
    for (; sums.end < steps->count && !(steps->values[sums.end][STEP_EPOCH] != epoch); sums.end++) {
        const double *row = steps->values[sums.end];
        sums.samples += row[STEP_SAMPLES];
        sums.loss += row[STEP_SAMPLES] * row[STEP_LOSS];
        sums.correct += row[STEP_SAMPLES] * row[STEP_ACCURACY];
        sums.seconds += row[STEP_SECONDS];
        sums.rate = row[STEP_RATE];
    }
    if (sums.end == first) sums.end++; /* an epoch that is no number */
    return sums;
}

/* The last evaluation of the epoch whose last step is that one; `count` if there is none. `next` is where to look from. */
static size_t find_eval(const series *evals, double epoch, size_t *next)
{
    size_t found = evals->count;
    for (; *next < evals->count && evals->values[*next][EVAL_EPOCH] <= epoch; ++*next)
        if (evals->values[*next][EVAL_EPOCH] == epoch) found = *next;
    return found;
}

static void print_epoch(FILE *out, const run_record *record, const epoch_sums *sums, size_t eval, bool best)
{
    const series *steps = &record->steps, *evals = &record->evals;
    const double *test = eval < evals->count ? evals->values[eval] : NULL;
    char time[TEXT_NUMBER_BYTES];
    fprintf(out, "<tr%s>", best ? " class=\"best\"" : "");
    print_real(out, "%.0f", steps->values[sums->first][STEP_EPOCH]);
    print_real(out, "%.0f", (double)(sums->end - sums->first));
    print_real(out, "%.4f", sums->loss / sums->samples);
    print_real(out, "%.2f %%", 100 * sums->correct / sums->samples);
    print_real(out, "%.4f", test ? test[EVAL_LOSS] : NAN);
    print_real(out, "%.2f %%", test ? 100 * test[EVAL_ACCURACY] : NAN);
    print_real(out, "%.3g", sums->rate);
    print_real(out, "%.0f", sums->samples / sums->seconds);
    fprintf(out, "<td>%s</td></tr>\n", text_duration(sums->seconds, time));
}

static size_t count_epochs(const series *steps)
{
    size_t count = 0;
    for (size_t first = 0; first < steps->count; count++) first = sum_epoch(steps, first).end;
    return count;
}

void html_write_epochs(FILE *out, const run_record *record, const char *set)
{
    const series *steps = &record->steps;
    size_t epochs = count_epochs(steps), every = (epochs + EPOCHS_MOST - 1) / EPOCHS_MOST, next = 0, number = 0;
    size_t best_eval = html_best_eval(record);
    if (epochs == 0) return;
    fputs("<section><h2>Epochs</h2>\n", out);
    if (every > 1) fprintf(out, "<p>One row in %zu, the best and the last.</p>\n", every);
    fprintf(
        out,
        "<div class=\"wide\"><table class=\"numbers\"><thead><tr><th>epoch</th><th>steps</th><th>loss</th><th>accuracy</th>"
        "<th>%s loss</th><th>%s accuracy</th><th>learning rate</th><th>images/s</th><th>time in steps</th></tr></thead><tbody>\n",
        set, set);
    for (size_t first = 0; first < steps->count; number++) {
        epoch_sums sums = sum_epoch(steps, first);
        size_t eval = find_eval(&record->evals, steps->values[first][STEP_EPOCH], &next);
        bool best = eval < record->evals.count && eval == best_eval;
        if (best || number % every == 0 || sums.end == steps->count) print_epoch(out, record, &sums, eval, best);
        first = sums.end;
    }
    fputs("</tbody></table></div></section>\n", out);
}

/* Number of classes if it is a square of counts, else 0. */
static size_t class_count(const json_t *confusion)
{
    size_t classes = json_array_size(confusion);
    for (size_t i = 0; i < classes; i++) {
        const json_t *row = json_array_get(confusion, i);
        if (json_array_size(row) != classes) return 0;
        for (size_t k = 0; k < classes; k++)
            if (!json_is_integer(json_array_get(row, k)) || json_integer_value(json_array_get(row, k)) < 0) return 0;
    }
    return classes <= CLASSES_MOST ? classes : 0;
}

static double count_at(const json_t *confusion, size_t label, size_t k)
{
    return (double)json_integer_value(json_array_get(json_array_get(confusion, label), k));
}

static double most_errors(const json_t *confusion, size_t classes)
{
    double most = 1;
    for (size_t label = 0; label < classes; label++)
        for (size_t k = 0; k < classes; k++)
            if (k != label) most = fmax(most, count_at(confusion, label, k));
    return most;
}

/* Right answers as their share of the label's images, errors as theirs of the most that any cell has. */
static void print_label(FILE *out, const json_t *confusion, size_t label, size_t classes, double most)
{
    double images = 0, right = count_at(confusion, label, label);
    fprintf(out, "<tr><th scope=\"row\">%zu</th>", label);
    for (size_t k = 0; k < classes; k++) images += count_at(confusion, label, k);
    for (size_t k = 0; k < classes; k++) {
        double count = count_at(confusion, label, k);
        if (count == 0)
            fputs("<td class=\"none\">0</td>", out);
        else
            fprintf(out, "<td class=\"%s\" style=\"--share:%.3f\">%.0f</td>", k == label ? "right" : "wrong",
                    k == label ? right / images : count / most, count);
    }
    print_real(out, "%.2f %%", images > 0 ? 100 * right / images : NAN);
    fputs("</tr>\n", out);
}

void html_write_confusion(FILE *out, const run_record *record, const char *set)
{
    size_t classes = class_count(record->confusion);
    if (classes == 0) return;
    double most = most_errors(record->confusion, classes);
    fprintf(
        out,
        "<section><h2>Confusion</h2>\n<p>Images of the %s set by label (rows) and answer (columns), in the last evaluation, after "
        "step %.0f.</p>\n<div class=\"wide\"><table class=\"numbers matrix\"><thead><tr><th></th>",
        set, record->evals.values[record->evals.count - 1][EVAL_STEP]);
    for (size_t k = 0; k < classes; k++) fprintf(out, "<th>%zu</th>", k);
    fputs("<th>right</th></tr></thead><tbody>\n", out);
    for (size_t label = 0; label < classes; label++) print_label(out, record->confusion, label, classes, most);
    fputs("</tbody></table></div></section>\n", out);
}

/* Base64 and nothing else, so that it cannot end the attribute. */
static bool is_base64(const char *text)
{
    return text && text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")] == '\0';
}

static void print_mistake(FILE *out, const json_t *mistake)
{
    uint64_t image = metrics_count(mistake, "image"), label = metrics_count(mistake, "label"),
             answer = metrics_count(mistake, "answer");
    double probability = metrics_number(mistake, "probability");
    const char *png = json_string_value(json_object_get(mistake, "png"));
    fputs("<li>", out);
    if (is_base64(png))
        fprintf(out, "<img alt=\"image %" PRIu64 "\" width=\"64\" height=\"64\" src=\"data:image/png;base64,%s\">", image, png);
    fprintf(out, "<b>%" PRIu64 "</b>taken for %" PRIu64 ", %.1f %%, image %" PRIu64 "</li>\n", label, answer, 100 * probability,
            image);
}

void html_write_mistakes(FILE *out, const run_record *record, const char *set)
{
    size_t count = json_array_size(record->mistakes);
    if (count == 0) return;
    fprintf(
        out,
        "<section><h2>Most confident errors</h2>\n<p>Images of the %s set, as the network sees them, that it got wrong with the "
        "highest probability in the last evaluation; large, what they are labelled.</p>\n<ul class=\"tiles mistakes\">\n",
        set);
    for (size_t i = 0; i < count && i < MISTAKES_MOST; i++) print_mistake(out, json_array_get(record->mistakes, i));
    fputs("</ul></section>\n", out);
}

static void print_phase(FILE *out, const char *name, double seconds, double whole)
{
    char time[TEXT_NUMBER_BYTES];
    double share = 100 * fmin(seconds / whole, 1);
    fprintf(out,
            "<tr><th scope=\"row\">%s</th><td>%s</td><td>%.1f %%</td><td class=\"bar\"><i style=\"width:%.1f%%\"></i></td></tr>\n",
            name, text_duration(seconds, time), share, share);
}

void html_write_phases(FILE *out, const run_record *record)
{
    const run_totals *t = &record->totals;
    double whole = t->wall_s + t->unended_s;
    if (!(whole > 0) || !isfinite(whole)) return;
    double other_s = t->train_s - record->compute_s - t->exchange_s - record->update_s;
    double rest_s = whole - t->train_s - t->eval_s - t->stall_s;
    fprintf(out,
            "<section><h2>Time</h2>\n<p>Of %" PRIu64 " %s; of one that was killed, what its steps and evaluations took.</p>\n"
            "<table class=\"numbers phases\"><tbody>\n",
            t->processes, t->processes == 1 ? "process" : "processes");
    print_phase(out, "forward and backward", record->compute_s, whole);
    print_phase(out, "exchange that computing did not hide", t->exchange_s, whole);
    print_phase(out, "norm, clipping and update", record->update_s, whole);
    if (other_s > 0.001 * whole) print_phase(out, "steps that changed nothing", other_s, whole);
    print_phase(out, "evaluation", t->eval_s, whole);
    print_phase(out, "waiting for checkpoints", t->stall_s, whole);
    if (rest_s > 0) print_phase(out, "reading data, choosing algorithms, and the rest", rest_s, whole);
    fputs("</tbody></table></section>\n", out);
}

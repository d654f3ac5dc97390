#include "report/plots.h"

#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report/run_name.h"
#include "report/text.h"
#include "report/series.h"
#include "vgg11/base/log.h"
#include "vgg11/report/gnuplot.h"

enum { POINTS_MOST = 1000, PATH_BYTES = 4200, COLUMNS = 5 };

/* Columns of the two series; gnuplot counts them from 1. */
static const char *const step_fields[SERIES_COLUMNS] = {"step", "loss", "accuracy", "lr", "images_per_second"};
static const char *const eval_fields[SERIES_COLUMNS] = {"step", "test_loss", "test_accuracy"};

typedef struct {
    const char *file;
    const char *label;
    const char *scale; /* what a value is multiplied by */
    int step_column;
    int eval_column; /* 0: none */
} picture;

static const picture pictures[] = {
    {"loss.svg", "loss", "1", 2, 2},
    {"accuracy.svg", "accuracy, %", "100", 3, 3},
    {"learning-rate.svg", "learning rate", "1", 4, 0},
    {"throughput.svg", "images per second", "1", 5, 0},
};
enum { PICTURES = sizeof pictures / sizeof pictures[0] };

static void print_series(FILE *script, const char *name, const series *rows)
{
    fprintf(script, "$%s << END\n", name);
    for (size_t i = 0; i < rows->count; i++) {
        for (int column = 0; column < COLUMNS; column++) {
            double value = rows->values[i][column];
            if (isfinite(value))
                fprintf(script, "%.9g ", value);
            else
                fputs("NaN ", script);
        }
        fputc('\n', script);
    }
    fputs("END\n", script);
}

static void print_picture(FILE *script, const picture *one, bool with_eval)
{
    fprintf(script, "set output '%s'\nset ylabel '%s'\n", one->file, one->label);
    fprintf(script, "plot $steps using 1:($%d*%s) with lines lw 1.5 lc rgb '#1f77b4' title 'training'", one->step_column,
            one->scale);
    if (with_eval && one->eval_column) {
        fprintf(script, ", $evals using 1:($%d*%s) with linespoints pt 7 lw 1.5 lc rgb '#d62728' title 'test'", one->eval_column,
                one->scale);
    }
    fputs("\nset output\n", script);
}

/* Within quotes, in which gnuplot takes all but a quote as it stands. */
static void print_title(FILE *script, const char *name)
{
    bool readable = text_is_utf8(name);
    fputs("set encoding utf8\nset title '", script);
    for (const char *at = name; *at; at++) {
        unsigned char c = (unsigned char)*at;
        bool shown = c >= 0x80 ? readable : c >= ' ' && c != '\'' && c != 0x7f;
        fputc(shown ? c : '?', script);
    }
    fputs("' noenhanced\n", script);
}

/* The whole script as text for free(); NULL without memory. */
static char *make_script(const char *name, const series *steps, const series *evals, size_t *bytes)
{
    char *text = NULL;
    FILE *script = open_memstream(&text, bytes);
    if (!script) return NULL;
    print_series(script, "steps", steps);
    if (evals->count) print_series(script, "evals", evals);
    fputs("set terminal svg size 720,420 font 'sans,12' background rgb 'white'\nset xlabel 'step'\nset grid\n"
          "set key below\n",
          script);
    print_title(script, name);
    for (int i = 0; i < PICTURES; i++) print_picture(script, &pictures[i], evals->count > 0);
    if (fclose(script) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static vgg_status draw_into(const char *plots, const char *script, size_t bytes)
{
    const char *files[PICTURES + 1] = {NULL};
    for (int i = 0; i < PICTURES; i++) files[i] = pictures[i].file;
    int folder = open(plots, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return vgg_fail_errno(VGG_IO_ERROR, "cannot use it as a folder");
    vgg_status status = gnuplot_draw(folder, files, script, bytes, GNUPLOT_LIMIT_S);
    close(folder);
    return status;
}

static void draw(const char *folder, const series *steps, const series *evals)
{
    char plots[PATH_BYTES], name[RUN_NAME_MAX];
    run_name_of(folder, name);
    snprintf(plots, sizeof plots, "%s/plots", folder);
    mkdir(plots, 0777);
    size_t bytes = 0;
    char *script = make_script(name, steps, evals, &bytes);
    vgg_status status = script ? draw_into(plots, script, bytes) : VGG_OK;
    if (status == VGG_UNAVAILABLE)
        vgg_log(VGG_LOG_INFO, "%s: no pictures: %s; vgg11_dist report needs none", plots, vgg_message());
    else if (status != VGG_OK)
        vgg_log(VGG_LOG_WARNING, "%s: no pictures: %s", plots, vgg_message());
    free(script);
    rmdir(plots); /* succeeds if nothing was drawn */
}

void plots_draw(const char *folder)
{
    char metrics[PATH_BYTES];
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", folder);
    series steps = {0}, evals = {0};
    if (series_read(metrics, "step", step_fields, &steps) == VGG_OK &&
        series_read(metrics, "eval", eval_fields, &evals) == VGG_OK && steps.count > 0) {
        series_thin(&steps, POINTS_MOST);
        draw(folder, &steps, &evals);
    }
    series_free(&steps);
    series_free(&evals);
}

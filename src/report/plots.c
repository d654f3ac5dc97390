#include "report/plots.h"

#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report/series.h"

extern char **environ;

enum { POINTS_MOST = 1000, PATH_BYTES = 4200 };

/* Columns of the two series; gnuplot counts them from 1. */
static const char *const step_fields[SERIES_COLUMNS] = {"step", "loss", "accuracy", "lr", "images_per_second"};
static const char *const eval_fields[SERIES_COLUMNS] = {"step", "test_loss", "test_accuracy"};

typedef struct {
    const char *file;
    const char *label;
    const char *scale; /* what a value is multiplied by */
    int step_column;
    int eval_column;   /* 0: none */
} picture;

static const picture pictures[] = {
    {"loss", "loss", "1", 2, 2},
    {"accuracy", "accuracy, %", "100", 3, 3},
    {"learning-rate", "learning rate", "1", 4, 0},
    {"throughput", "images per second", "1", 5, 0},
};

static void print_series(FILE *script, const char *name, const series *rows)
{
    fprintf(script, "$%s << END\n", name);
    for (size_t i = 0; i < rows->count; i++) {
        for (int column = 0; column < SERIES_COLUMNS; column++) {
            double value = rows->values[i][column];
            if (isfinite(value)) fprintf(script, "%.9g ", value);
            else fputs("NaN ", script);
        }
        fputc('\n', script);
    }
    fputs("END\n", script);
}

static void print_picture(FILE *script, const picture *one, bool with_eval)
{
    fprintf(script, "set output 'plots/%s.svg'\nset ylabel '%s'\n", one->file, one->label);
    fprintf(script, "plot $steps using 1:($%d*%s) with lines lw 1.5 lc rgb '#1f77b4' title 'training'", one->step_column,
            one->scale);
    if (with_eval && one->eval_column) {
        fprintf(script, ", $evals using 1:($%d*%s) with linespoints pt 7 lw 1.5 lc rgb '#d62728' title 'test'",
                one->eval_column, one->scale);
    }
    fputs("\nset output\n", script);
}

/* The whole script as text for free(); NULL without memory. */
static char *make_script(const series *steps, const series *evals, size_t *bytes)
{
    char *text = NULL;
    FILE *script = open_memstream(&text, bytes);
    if (!script) return NULL;
    print_series(script, "steps", steps);
    if (evals->count) print_series(script, "evals", evals);
    fputs("set terminal svg size 720,420 font 'sans,12' background rgb 'white'\nset xlabel 'step'\nset grid\n"
          "set key top right\n", script);
    for (size_t i = 0; i < sizeof pictures / sizeof pictures[0]; i++) print_picture(script, &pictures[i], evals->count > 0);
    if (fclose(script) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* gnuplot in `folder`, reading from `input`, without a word; 0 if it cannot be started. */
static pid_t start_gnuplot(const char *folder, int input)
{
    char *arguments[] = {"gnuplot", NULL};
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0) return 0;
    pid_t child = 0;
    int failed = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO) ||
                 posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) ||
                 posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) ||
                 posix_spawn_file_actions_addchdir_np(&actions, folder) ||
                 posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return failed ? 0 : child;
}

/* By a socket and not a pipe: a reader that dies then gives an error here, and no SIGPIPE. */
static void run_gnuplot(const char *folder, const char *script, size_t bytes)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
    pid_t child = start_gnuplot(folder, ends[1]);
    close(ends[1]);
    ssize_t sent = 1;
    for (size_t done = 0; child && done < bytes && sent > 0; done += (size_t)sent) {
        sent = send(ends[0], script + done, bytes - done, MSG_NOSIGNAL);
    }
    close(ends[0]);
    if (child) waitpid(child, NULL, 0);
}

static void draw(const char *folder, const series *steps, const series *evals)
{
    char plots[PATH_BYTES];
    snprintf(plots, sizeof plots, "%s/plots", folder);
    mkdir(plots, 0777);
    size_t bytes = 0;
    char *script = make_script(steps, evals, &bytes);
    if (script) run_gnuplot(folder, script, bytes);
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

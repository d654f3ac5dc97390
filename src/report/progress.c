#include "vgg11/report/progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report/terminal.h"
#include "report/text.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/log.h"

enum { LINE_BYTES = 512, BAR_LEAST = 10, BAR_MOST = 40 };

/* A redrawn line changes at most ten times a second; a line that stays comes after the first step, and then after a tenth of the epoch, no
 * more than one in five seconds and no less than one a minute. */
static const double redraw_s = 0.1, line_least_s = 5, line_most_s = 60, recent_decay = 0.9;

struct progress {
    void (*show)(progress *p, const run_step_event *event);
    bool talks; /* about epochs, checkpoints and the end */
    int terminal;
    bool on_screen; /* a bar is drawn that the next line must clear */
    run_start_event start;
    double start_s;
    double drawn_s; /* when the bar was last drawn */
    double shown_s; /* when a line was last shown */
    uint64_t shown_step;
    uint64_t from_step; /* where the time to go is reckoned from: the start, or a checkpoint that the run went back to */
    double from_s;
    double recent_samples, recent_s; /* decaying sums, for the rate */
};

static void show_nothing(progress *p, const run_step_event *event) { (void)p, (void)event; }
static void show_bar(progress *p, const run_step_event *event);
static void show_line(progress *p, const run_step_event *event);

typedef struct {
    void (*show)(progress *p, const run_step_event *event);
    bool talks;
} progress_manner;

const progress_entry progress_styles[] = {
    {"auto", "bar on a terminal, plain elsewhere"},
    {"bar", "one line that is redrawn"},
    {"plain", "lines that stay, for files and batch jobs"},
    {"none", "no progress at all"},
    {NULL, NULL},
};

/* Row by row what progress_styles names; auto has become another by then. */
static const progress_manner manners[] = {{NULL, false}, {show_bar, true}, {show_line, true}, {show_nothing, false}};
enum { STYLE_AUTO, STYLE_BAR, STYLE_PLAIN };

/* The hook of the log has no context, and a process has one standard error. */
static progress *drawing;

static void write_screen(const char *text)
{
    /* What a closed terminal does not take is let go: the run goes on. */
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

static void clear_bar(void)
{
    if (!drawing || !drawing->on_screen) return;
    write_screen("\r\033[K");
    drawing->on_screen = false;
}

static size_t find_style(const char *name)
{
    size_t style = 0;
    while (progress_styles[style].name && strcmp(progress_styles[style].name, name) != 0) style++;
    return style;
}

vgg_status progress_open(const char *style_name, progress **out)
{
    size_t style = find_style(style_name);
    if (!progress_styles[style].name) return vgg_fail(VGG_BAD_OPTION, "--progress %s: there is no such style", style_name);
    progress *p = calloc(1, sizeof *p);
    if (!p) return vgg_fail(VGG_UNAVAILABLE, "not enough memory for the progress display");
    p->terminal = terminal_open();
    if (style == STYLE_AUTO) style = p->terminal >= 0 ? STYLE_BAR : STYLE_PLAIN;
    p->show = manners[style].show;
    p->talks = manners[style].talks;
    drawing = p;
    vgg_log_before(clear_bar);
    *out = p;
    return VGG_OK;
}

void progress_close(progress *p)
{
    if (!p) return;
    clear_bar();
    vgg_log_before(NULL);
    drawing = NULL;
    terminal_close(p->terminal);
    free(p);
}

static double seconds_left(const progress *p, uint64_t step)
{
    double done = (double)(step - p->from_step), left = (double)(p->start.steps_total - step);
    return (clock_now_s() - p->from_s) / done * left;
}

static uint64_t step_in_epoch(const progress *p, const run_step_event *event)
{
    return event->step - (uint64_t)(event->epoch - 1) * p->start.steps_per_epoch;
}

/* " loss 0.1234  accuracy 96.2 %  412 images/s  left 1:23" */
static void describe(const progress *p, const run_step_event *event, char text[LINE_BYTES])
{
    char left[TEXT_NUMBER_BYTES];
    snprintf(text, LINE_BYTES, "loss %.4f  accuracy %.1f %%  %.0f images/s  left %s", event->epoch_loss,
             100 * event->epoch_accuracy, p->recent_samples / p->recent_s, text_duration(seconds_left(p, event->step), left));
}

static void draw_bar(char *out, int width, double fraction)
{
    int full = (int)(fraction * width);
    for (int i = 0; i < width; i++) out[i] = "=> "[i < full ? 0 : i == full ? 1 : 2];
    out[width] = '\0';
}

static void show_bar(progress *p, const run_step_event *event)
{
    double now_s = clock_now_s(), fraction = (double)step_in_epoch(p, event) / (double)p->start.steps_per_epoch;
    bool last = event->step == p->start.steps_total;
    if (now_s - p->drawn_s < redraw_s && !last) return;
    char head[LINE_BYTES], bar[BAR_MOST + 1], tail[LINE_BYTES], line[3 * LINE_BYTES];
    snprintf(head, sizeof head, "epoch %u/%u", event->epoch, p->start.epochs);
    describe(p, event, tail);
    int columns = terminal_columns(p->terminal) - 1; /* the last one would wrap on some terminals */
    int room = columns - (int)(strlen(head) + strlen(tail)) - (int)strlen(" [] 100%  ");
    if (room > BAR_MOST) room = BAR_MOST;
    if (room >= BAR_LEAST) {
        draw_bar(bar, room, fraction);
        snprintf(line, sizeof line, "%s [%s] %3.0f%%  %s", head, bar, 100 * fraction, tail);
    } else {
        snprintf(line, sizeof line, "%s %3.0f%%  %s", head, 100 * fraction, tail);
    }
    char screen[3 * LINE_BYTES + 8];
    snprintf(screen, sizeof screen, "\r%.*s\033[K", columns, line);
    write_screen(screen);
    p->on_screen = true;
    p->drawn_s = now_s;
}

static void show_line(progress *p, const run_step_event *event)
{
    double since_s = clock_now_s() - p->shown_s;
    bool tenth = (event->step - p->shown_step) * 10 >= p->start.steps_per_epoch;
    if (since_s < line_least_s || (!tenth && since_s < line_most_s)) return;
    char tail[LINE_BYTES];
    describe(p, event, tail);
    vgg_log(VGG_LOG_INFO, "epoch %u/%u  step %llu/%llu  %s", event->epoch, p->start.epochs,
            (unsigned long long)step_in_epoch(p, event), (unsigned long long)p->start.steps_per_epoch, tail);
    p->shown_s = clock_now_s();
    p->shown_step = event->step;
}

static void on_start(void *context, const run_start_event *event)
{
    progress *p = context;
    p->start = *event;
    p->start_s = p->from_s = clock_now_s();
    p->shown_s = -INFINITY;
    p->from_step = p->shown_step = event->step;
    if (!p->talks) return;
    char train[TEXT_NUMBER_BYTES], test[TEXT_NUMBER_BYTES], from[64] = "";
    if (event->step) snprintf(from, sizeof from, ", going on after step %llu", (unsigned long long)event->step);
    vgg_log(VGG_LOG_INFO, "%s training and %s %s images, %u %s of %llu steps of %u images, %d %s x %d %s, exchange %s%s",
            text_count(event->train_samples, train), text_count(event->test_samples, test), event->evaluated_on, event->epochs,
            event->epochs == 1 ? "epoch" : "epochs", (unsigned long long)event->steps_per_epoch, event->batch_size, event->ranks,
            event->ranks == 1 ? "rank" : "ranks", event->threads, event->threads == 1 ? "thread" : "threads",
            event->exchange ? event->exchange : "none", from);
}

static void on_step(void *context, const run_step_event *event)
{
    progress *p = context;
    p->recent_samples = p->recent_samples * recent_decay + event->samples;
    p->recent_s = p->recent_s * recent_decay + event->step_s;
    p->show(p, event);
}

static void on_rollback(void *context, const run_rollback_event *event)
{
    progress *p = context;
    p->from_s = clock_now_s();
    p->from_step = p->shown_step = event->step;
}

static void on_eval(void *context, const run_eval_event *event)
{
    progress *p = context;
    if (!p->talks) return;
    char elapsed[TEXT_NUMBER_BYTES], train[LINE_BYTES] = "", step[64] = "";
    if (isfinite(event->train_loss))
        snprintf(train, sizeof train, "loss %.4f  accuracy %.2f %%  ", event->train_loss, 100 * event->train_accuracy);
    if (event->step % p->start.steps_per_epoch != 0) snprintf(step, sizeof step, "step %llu  ", (unsigned long long)event->step);
    vgg_log(VGG_LOG_INFO, "epoch %u/%u  %s%s%s loss %.4f  %s accuracy %.2f %%%s  after %s", event->epoch, p->start.epochs, step,
            train, p->start.evaluated_on, event->test_loss, p->start.evaluated_on, 100 * event->test_accuracy,
            event->best ? " (best)" : "", text_duration(clock_now_s() - p->start_s, elapsed));
}

static void on_checkpoint(void *context, const run_checkpoint_event *event)
{
    progress *p = context;
    char bytes[TEXT_NUMBER_BYTES];
    if (!p->talks) return;
    vgg_log(VGG_LOG_INFO, "saved %s (%s in %.1f s)", event->path, text_bytes(event->bytes, bytes), event->save_s);
}

/* ", 1.2 of each step's 394.0 ms exposed exchange"; nothing for a rank alone. */
static const char *describe_exchange(const progress *p, const run_end_event *event, char text[LINE_BYTES])
{
    *text = '\0';
    if (p->start.ranks > 1)
        snprintf(text, LINE_BYTES, ", %.1f of each step's %.1f ms exposed exchange", 1e3 * event->exchange_s, 1e3 * event->step_s);
    return text;
}

static void on_end(void *context, const run_end_event *event)
{
    progress *p = context;
    if (!p->talks || event->status != VGG_OK) return;
    char images[TEXT_NUMBER_BYTES], wall[TEXT_NUMBER_BYTES], memory[TEXT_NUMBER_BYTES], exchange[LINE_BYTES];
    vgg_log(VGG_LOG_INFO,
            "done: %s accuracy %.2f %% (best %.2f %%), %s loss %.4f; %s images in %s, %.0f images/s while training%s; "
            "at most %s of memory a rank",
            p->start.evaluated_on, 100 * event->final_accuracy, 100 * event->best_accuracy, p->start.evaluated_on,
            event->final_loss, text_count(event->images, images), text_duration(event->wall_s, wall),
            event->train_s > 0 ? (double)event->images / event->train_s : 0, describe_exchange(p, event, exchange),
            text_bytes(event->memory_peak_bytes, memory));
}

run_observer progress_observer(progress *p)
{
    return (run_observer){.context = p,
                          .start = on_start,
                          .step = on_step,
                          .eval = on_eval,
                          .checkpoint = on_checkpoint,
                          .rollback = on_rollback,
                          .end = on_end};
}

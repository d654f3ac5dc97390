/* The progress display, as a terminal and as a file receive it. */
#include <fcntl.h>
#include <math.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "report/text.h"
#include "support/support.h"
#include "vgg11/base/log.h"
#include "vgg11/report/progress.h"

enum { SCREEN_BYTES = 65536, COLUMNS = 100 };

static int saved_stderr, screen; /* the end that is read */
static char shown[SCREEN_BYTES];

static void attach(int writer)
{
    saved_stderr = dup(STDERR_FILENO);
    dup2(writer, STDERR_FILENO);
    close(writer);
}

static void attach_terminal(unsigned short columns)
{
    int writer;
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    setenv("TERM", "xterm", 1);
    ck_assert_int_eq(openpty(&screen, &writer, NULL, NULL, &size), 0);
    attach(writer);
}

static void attach_pipe(void)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    screen = ends[0];
    attach(ends[1]);
}

/* Gives standard error back; what it got is in `shown`. */
static const char *detach(void)
{
    size_t used = 0;
    ssize_t got;
    fcntl(screen, F_SETFL, O_NONBLOCK); /* all has been written by now */
    while (used + 1 < sizeof shown && (got = read(screen, shown + used, sizeof shown - 1 - used)) > 0) used += (size_t)got;
    shown[used] = '\0';
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(screen);
    return shown;
}

static void run_steps(run_observer on, uint64_t steps)
{
    run_start_event start = {.epochs = 2,
                             .steps_total = 2000,
                             .steps_per_epoch = 1000,
                             .train_samples = 60000,
                             .test_samples = 10000,
                             .evaluated_on = "test",
                             .batch_size = 16,
                             .ranks = 2,
                             .threads = 1,
                             .exchange = "node"};
    on.start(on.context, &start);
    for (uint64_t step = 1; step <= steps; step++) {
        run_step_event event = {
            .step = step, .epoch = step > 1000 ? 2 : 1, .samples = 16, .epoch_loss = 0.5, .epoch_accuracy = 0.75, .step_s = 0.125};
        on.step(on.context, &event);
    }
}

static void run_end(run_observer on, int status)
{
    run_eval_event eval = {.epoch = 2,
                           .step = 2000,
                           .train_loss = 0.5,
                           .train_accuracy = 0.75,
                           .test_loss = 0.25,
                           .test_accuracy = 0.9375,
                           .best = true};
    run_end_event end = {.status = status,
                         .message = "",
                         .step = 2000,
                         .wall_s = 75,
                         .train_s = 62.5,
                         .step_s = 0.125,
                         .exchange_s = 0.0025,
                         .images = 32000,
                         .best_accuracy = 0.9375,
                         .final_accuracy = 0.9375,
                         .memory_peak_bytes = 1500000000};
    on.eval(on.context, &eval);
    on.end(on.context, &end);
}

static void show(const char *style, uint64_t steps, int status)
{
    progress *p;
    ck_assert_int_eq(progress_open(style, &p), VGG_OK);
    run_steps(progress_observer(p), steps);
    if (steps == 2000) run_end(progress_observer(p), status);
    progress_close(p);
}

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) count++;
    return count;
}

/* Lines that a terminal would be left with: what a carriage return and an erase wiped out is gone. */
static int widest_redraw(const char *text)
{
    int widest = 0, width = 0;
    for (; *text; text++) {
        if (*text == '\r' || *text == '\n')
            width = 0;
        else if (*text == '\033')
            text += 2;
        else if (++width > widest)
            widest = width;
    }
    return widest;
}

START_TEST(a_terminal_gets_a_bar)
{
    attach_terminal(COLUMNS);
    show("auto", 2000, VGG_OK);
    const char *text = detach();
    ck_assert_ptr_nonnull(strstr(text, "\repoch 2/2 [======"));
    ck_assert_ptr_nonnull(strstr(text, "100%  loss 0.5000  accuracy 75.0 %  128 images/s  left 0:00"));
}
END_TEST

START_TEST(the_bar_is_redrawn_seldom)
{
    attach_terminal(COLUMNS);
    show("auto", 1999, VGG_OK);
    /* 1999 steps in far less than 190 tenths of a second. */
    ck_assert_int_lt(count_of(detach(), "\repoch"), 200);
}
END_TEST

START_TEST(the_bar_is_cleared_before_a_line)
{
    attach_terminal(COLUMNS);
    show("bar", 2000, VGG_OK);
    const char *text = detach(), *line = strstr(text, "epoch 2/2  loss");
    ck_assert_ptr_nonnull(line);
    ck_assert_msg(strncmp(line - 4, "\r\033[K", 4) == 0, "the line is written over the bar");
    ck_assert_ptr_nonnull(strstr(line, "test accuracy 93.75 % (best)"));
}
END_TEST

START_TEST(the_bar_fits_the_terminal)
{
    static const unsigned short widths[] = {10, 20, 40, 60, 79, 80, 81, 132, 200};
    attach_terminal(widths[_i]);
    show("bar", 1, VGG_OK);
    const char *bar = strstr(detach(), "\repoch");
    ck_assert_ptr_nonnull(bar);
    ck_assert_int_lt(widest_redraw(bar), widths[_i]);
}
END_TEST

START_TEST(a_dumb_terminal_gets_lines)
{
    attach_terminal(COLUMNS);
    setenv("TERM", "dumb", 1);
    show("auto", 10, VGG_OK);
    ck_assert_ptr_null(strchr(detach(), '\033'));
}
END_TEST

START_TEST(a_pipe_gets_plain_lines)
{
    attach_pipe();
    show("auto", 2000, VGG_OK);
    const char *text = detach();
    ck_assert_ptr_null(strchr(text, '\r'));
    ck_assert_ptr_null(strchr(text, '\033'));
    ck_assert_ptr_nonnull(
        strstr(text, "60,000 training and 10,000 test images, 2 epochs of 1000 steps of 16 images, 2 ranks x 1 thread"));
    ck_assert_ptr_nonnull(strstr(text, "done: test accuracy 93.75 %"));
    ck_assert_ptr_nonnull(strstr(text, "2.5 of each step's 125.0 ms exposed exchange"));
    ck_assert_ptr_nonnull(strstr(text, "32,000 images in 1:15, 512 images/s"));
    ck_assert_ptr_nonnull(strstr(text, "epoch 1/2  step 1/1000  loss 0.5000  accuracy 75.0 %  128 images/s"));
    ck_assert_int_eq(count_of(text, "\n"), 4);
}
END_TEST

/* What a run that resumed had before is in the event, not in the steps that were seen here. */
START_TEST(an_epochs_line_says_what_the_event_does)
{
    progress *p;
    attach_pipe();
    ck_assert_int_eq(progress_open("plain", &p), VGG_OK);
    run_observer on = progress_observer(p);
    run_steps(on, 1);
    run_eval_event eval = {
        .epoch = 1, .step = 1000, .train_loss = 1.5, .train_accuracy = 0.625, .test_loss = 0.25, .test_accuracy = 0.9375};
    on.eval(on.context, &eval);
    eval.train_loss = eval.train_accuracy = NAN;
    on.eval(on.context, &eval);
    progress_close(p);
    const char *text = detach();
    ck_assert_ptr_nonnull(strstr(text, "epoch 1/2  loss 1.5000  accuracy 62.50 %  test loss 0.2500  test accuracy 93.75 %  after"));
    ck_assert_ptr_nonnull(strstr(text, "epoch 1/2  test loss 0.2500  test accuracy 93.75 %  after"));
}
END_TEST

START_TEST(none_says_nothing)
{
    attach_pipe();
    show("none", 2000, VGG_OK);
    ck_assert_str_eq(detach(), "");
}
END_TEST

START_TEST(a_run_that_failed_is_not_called_done)
{
    attach_pipe();
    show("plain", 2000, VGG_DIVERGED);
    ck_assert_ptr_null(strstr(detach(), "done"));
}
END_TEST

START_TEST(a_closed_standard_error_is_survived)
{
    int saved = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    show("bar", 2000, VGG_OK);
    show("plain", 2000, VGG_OK);
    dup2(saved, STDERR_FILENO);
    close(saved);
}
END_TEST

START_TEST(an_unknown_style_is_refused)
{
    progress *p = NULL;
    ck_assert_int_eq(progress_open("sparkles", &p), VGG_BAD_OPTION);
    progress_close(NULL);
}
END_TEST

START_TEST(numbers_read_well)
{
    char text[TEXT_NUMBER_BYTES];
    ck_assert_str_eq(text_duration(0, text), "0:00");
    ck_assert_str_eq(text_duration(59.6, text), "1:00");
    ck_assert_str_eq(text_duration(3723, text), "1:02:03");
    ck_assert_str_eq(text_duration(-1, text), "-:--");
    ck_assert_str_eq(text_duration(0.0 / 0.0, text), "-:--");
    ck_assert_str_eq(text_count(0, text), "0");
    ck_assert_str_eq(text_count(999, text), "999");
    ck_assert_str_eq(text_count(1000, text), "1,000");
    ck_assert_str_eq(text_count(UINT64_MAX, text), "18,446,744,073,709,551,615");
    ck_assert_str_eq(text_bytes(999, text), "999 B");
    ck_assert_str_eq(text_bytes(999950, text), "1.0 MB");
    ck_assert_str_eq(text_bytes(258100000, text), "258.1 MB");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("progress");
    TCase *cases = tcase_create("progress");
    tcase_add_test(cases, a_terminal_gets_a_bar);
    tcase_add_test(cases, the_bar_is_redrawn_seldom);
    tcase_add_test(cases, the_bar_is_cleared_before_a_line);
    tcase_add_loop_test(cases, the_bar_fits_the_terminal, 0, 9);
    tcase_add_test(cases, a_dumb_terminal_gets_lines);
    tcase_add_test(cases, a_pipe_gets_plain_lines);
    tcase_add_test(cases, an_epochs_line_says_what_the_event_does);
    tcase_add_test(cases, none_says_nothing);
    tcase_add_test(cases, a_run_that_failed_is_not_called_done);
    tcase_add_test(cases, a_closed_standard_error_is_survived);
    tcase_add_test(cases, an_unknown_style_is_refused);
    tcase_add_test(cases, numbers_read_well);
    suite_add_tcase(suite, cases);
    return support_run(suite, NULL);
}

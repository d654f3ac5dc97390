/* metrics.jsonl, summary.json, plots and trace: what is on disk after which events. */
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report/event_file.h"
#include "report/metrics_file.h"
#include "support/failing_memory.h"
#include "support/failing_sync.h"
#include "support/support.h"
#include "vgg11/report/gnuplot.h"
#include "vgg11/report/recorder.h"
#include "vgg11/report/trace.h"

enum { PATH_BYTES = 256, LINES_MAX = 64 };

static const char *in_folder(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", support_folder, name);
    return path;
}

static run_start_event start_event(uint64_t step)
{
    return (run_start_event){.step = step,
                             .epochs = 2,
                             .steps_total = 8,
                             .steps_per_epoch = 4,
                             .train_samples = 64,
                             .test_samples = 10,
                             .evaluated_on = "test",
                             .batch_size = 16,
                             .ranks = 2,
                             .threads = 3,
                             .exchange = "node",
                             .startup_s = 0.5};
}

static run_step_event step_event(uint64_t step)
{
    return (run_step_event){.step = step,
                            .epoch = step > 4 ? 2 : 1,
                            .samples = 16,
                            .loss = 2.0 / (double)step,
                            .accuracy = 0.125 * (double)step,
                            .lr = 0.05,
                            .grad_norm = 3,
                            .clip_scale = 1.0 / 3,
                            .step_s = 0.25,
                            .compute_s = 0.15,
                            .exchange_s = 0.06,
                            .update_s = 0.04};
}

static void emit_more_steps(run_observer on, uint64_t first, uint64_t last)
{
    for (uint64_t step = first; step <= last; step++) {
        run_step_event event = step_event(step);
        on.step(on.context, &event);
    }
}

static void emit_steps(run_observer on, uint64_t first, uint64_t last)
{
    run_start_event start = start_event(first - 1);
    on.start(on.context, &start);
    emit_more_steps(on, first, last);
}

static void emit_end(run_observer on)
{
    run_eval_event eval = {.epoch = 1,
                           .step = 4,
                           .train_loss = 1.5,
                           .train_accuracy = 0.625,
                           .test_loss = 0.75,
                           .test_accuracy = 0.9,
                           .samples = 10,
                           .best = true};
    run_end_event end = {.status = 0,
                         .message = "",
                         .step = 8,
                         .wall_s = 3,
                         .train_s = 2,
                         .step_s = 0.25,
                         .exchange_s = 0.0625,
                         .steps = 8,
                         .images = 128,
                         .best_accuracy = 0.9,
                         .final_accuracy = 0.8,
                         .final_loss = 0.75,
                         .memory_peak_bytes = 1000};
    on.eval(on.context, &eval);
    on.end(on.context, &end);
}

/* All lines of metrics.jsonl, each parsed. Returns how many; the caller json_decref()s them. */
static int read_metrics(json_t *lines[LINES_MAX])
{
    FILE *file = fopen(in_folder("metrics.jsonl"), "r");
    ck_assert_ptr_nonnull(file);
    char *line = NULL;
    size_t capacity = 0;
    int count = 0;
    while (getline(&line, &capacity, file) > 0) {
        ck_assert_int_lt(count, LINES_MAX);
        ck_assert_msg(line[strlen(line) - 1] == '\n', "line %d is torn", count + 1);
        lines[count] = json_loads(line, 0, NULL);
        ck_assert_msg(lines[count] != NULL, "line %d is not JSON: %s", count + 1, line);
        count++;
    }
    free(line);
    fclose(file);
    return count;
}

static void forget(json_t *lines[LINES_MAX], int count)
{
    for (int i = 0; i < count; i++) json_decref(lines[i]);
}

static double number(const json_t *object, const char *field)
{
    json_t *value = json_object_get(object, field);
    ck_assert_msg(json_is_number(value), "%s is missing or no number", field);
    return json_number_value(value);
}

static const char *event_of(const json_t *object) { return json_string_value(json_object_get(object, "event")); }

static void record(uint64_t resume_step, uint64_t first, uint64_t last, bool end)
{
    recorder *r;
    char *aside = support_make_folder();
    ck_assert_int_eq(recorder_open(support_folder, resume_step, aside, "{\"lr\":0.05}", &r), VGG_OK);
    support_remove_folder(aside);
    free(aside);
    emit_steps(recorder_observer(r), first, last);
    if (end) emit_end(recorder_observer(r));
    recorder_close(r);
}

START_TEST(lines_hold_the_events)
{
    record(0, 1, 2, true);
    json_t *lines[LINES_MAX];
    int count = read_metrics(lines);
    ck_assert_int_eq(count, 5);
    static const char *const events[] = {"start", "step", "step", "eval", "end"};
    for (int i = 0; i < count; i++) ck_assert_str_eq(event_of(lines[i]), events[i]);
    static const char *const fields[] = {"step",      "epoch",      "loss",       "accuracy",
                                         "lr",        "grad_norm",  "clip_scale", "images_per_second",
                                         "compute_s", "exchange_s", "update_s"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) number(lines[2], fields[i]);
    ck_assert_double_eq(number(lines[2], "images_per_second"), 64);
    ck_assert_double_eq(number(lines[2], "loss"), 1);
    ck_assert_double_eq(number(lines[3], "test_accuracy"), 0.9);
    ck_assert_double_eq(number(lines[3], "test_loss"), 0.75);
    ck_assert_double_eq(number(lines[3], "train_loss"), 1.5);
    ck_assert_double_eq(number(lines[3], "train_accuracy"), 0.625);
    forget(lines, count);
}
END_TEST

/* ISO 8601 in UTC sorts as text does. */
START_TEST(each_line_has_its_time)
{
    record(0, 1, 3, true);
    json_t *lines[LINES_MAX];
    const char *before = "2026-01-01T00:00:00.000Z";
    int count = read_metrics(lines);
    for (int i = 0; i < count; i++) {
        const char *time = json_string_value(json_object_get(lines[i], "time"));
        ck_assert_ptr_nonnull(time);
        ck_assert_uint_eq(strlen(time), strlen(before));
        ck_assert_int_ge(strcmp(time, before), 0);
        before = time;
    }
    forget(lines, count);
}
END_TEST

static void check_history(const char *expected)
{
    char text[512] = "";
    FILE *file = fopen(in_folder("history.csv"), "r");
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    ck_assert_str_eq(text, expected);
}

static void emit_eval(run_observer on, uint64_t step, double accuracy)
{
    run_eval_event event = {.step = step, .train_loss = NAN, .train_accuracy = 0.5, .test_loss = 0.25, .test_accuracy = accuracy};
    on.eval(on.context, &event);
}

#define HISTORY_HEAD "epoch,accuracy,learning_rate,loss,val_accuracy,val_loss\n"

/* A row for each epoch that has ended, in Keras' columns; a resumed run keeps those before, and goes on from them. */
START_TEST(the_history_has_a_row_an_epoch)
{
    recorder *r;
    ck_assert_int_eq(recorder_open(support_folder, 0, support_folder, NULL, &r), VGG_OK);
    emit_steps(recorder_observer(r), 1, 2);
    emit_eval(recorder_observer(r), 2, 0.1); /* within the epoch */
    check_history(HISTORY_HEAD);
    emit_more_steps(recorder_observer(r), 3, 4);
    emit_eval(recorder_observer(r), 4, 0.75);
    check_history(HISTORY_HEAD "0,0.5,0.05,,0.75,0.25\n");
    emit_more_steps(recorder_observer(r), 5, 8);
    emit_eval(recorder_observer(r), 8, 0.875);
    recorder_close(r);
    check_history(HISTORY_HEAD "0,0.5,0.05,,0.75,0.25\n1,0.5,0.05,,0.875,0.25\n");
    char *aside = support_make_folder();
    ck_assert_int_eq(recorder_open(support_folder, 6, aside, NULL, &r), VGG_OK);
    support_remove_folder(aside);
    free(aside);
    emit_steps(recorder_observer(r), 7, 8);
    check_history(HISTORY_HEAD "0,0.5,0.05,,0.75,0.25\n");
    emit_eval(recorder_observer(r), 8, 1);
    check_history(HISTORY_HEAD "0,0.5,0.05,,0.75,0.25\n1,0.5,0.05,,1,0.25\n");
    run_rollback_event back = {.from_step = 8, .step = 4, .path = "checkpoint"};
    recorder_observer(r).rollback(r, &back);
    emit_eval(recorder_observer(r), 8, 0.9375);
    recorder_close(r);
    check_history(HISTORY_HEAD "0,0.5,0.05,,0.75,0.25\n1,0.5,0.05,,0.9375,0.25\n");
}
END_TEST

/* Each allocation of recording an epoch in turn. */
START_TEST(a_history_without_memory_is_written_later)
{
    static memory_chains chains;
    recorder *r;
    ck_assert_int_eq(recorder_open(support_folder, 0, support_folder, NULL, &r), VGG_OK);
    emit_steps(recorder_observer(r), 1, 4);
    failing_memory_list(&chains);
    emit_eval(recorder_observer(r), 4, 0.75);
    failing_memory_list(NULL);
    ck_assert_int_gt(chains.count, 2);
    for (int i = 0; i < chains.count; i++) {
        failing_memory_fail(chains.first[i]);
        emit_eval(recorder_observer(r), 4, 0.5);
        failing_memory_fail(0);
        emit_eval(recorder_observer(r), 4, 0.875);
        check_history(HISTORY_HEAD "0,0.5,0.05,,0.875,0.25\n");
    }
    recorder_close(r);
}
END_TEST

START_TEST(the_summary_says_what_was_run_and_when)
{
    recorder *r;
    ck_assert_int_eq(recorder_open(support_folder, 0, support_folder, NULL, &r), VGG_OK);
    ck_assert_int_eq(recorder_set_provenance(r, "{\"hosts\":\"n1\"}"), VGG_OK);
    emit_steps(recorder_observer(r), 1, 2);
    emit_end(recorder_observer(r));
    recorder_close(r);
    json_t *root = json_load_file(in_folder("summary.json"), 0, NULL);
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(root, "provenance"), "hosts")), "n1");
    ck_assert_ptr_nonnull(strchr(json_string_value(json_object_get(root, "ended")), 'T'));
    json_decref(root);
}
END_TEST

START_TEST(each_line_is_there_at_once)
{
    recorder *r;
    json_t *lines[LINES_MAX];
    ck_assert_int_eq(recorder_open(support_folder, 0, support_folder, NULL, &r), VGG_OK);
    emit_steps(recorder_observer(r), 1, 3);
    int count = read_metrics(lines);
    ck_assert_int_eq(count, 4);
    forget(lines, count);
    recorder_close(r);
}
END_TEST

START_TEST(numbers_that_are_not_finite_become_null)
{
    recorder *r;
    ck_assert_int_eq(recorder_open(support_folder, 0, support_folder, NULL, &r), VGG_OK);
    run_step_event event = step_event(1);
    event.loss = NAN;
    event.grad_norm = INFINITY;
    run_observer on = recorder_observer(r);
    on.step(on.context, &event);
    recorder_close(r);
    json_t *lines[LINES_MAX];
    int count = read_metrics(lines);
    ck_assert_int_eq(count, 1);
    ck_assert(json_is_null(json_object_get(lines[0], "loss")));
    ck_assert(json_is_null(json_object_get(lines[0], "grad_norm")));
    forget(lines, count);
}
END_TEST

static void append_text(const char *text)
{
    FILE *file = fopen(in_folder("metrics.jsonl"), "a");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

START_TEST(resuming_cuts_off_what_will_be_repeated)
{
    record(0, 1, 6, false);
    append_text("{\"event\":\"step\",\"st");
    record(4, 5, 8, true);
    json_t *lines[LINES_MAX];
    int count = read_metrics(lines), seen[9] = {0};
    for (int i = 0; i < count; i++) {
        if (strcmp(event_of(lines[i]), "step") == 0) seen[(int)number(lines[i], "step")]++;
    }
    for (int step = 1; step <= 8; step++) ck_assert_msg(seen[step] == 1, "step %d is there %d times", step, seen[step]);
    ck_assert_str_eq(event_of(lines[count - 1]), "end");
    forget(lines, count);
}
END_TEST

/* Steps 1 to 5, back to 2 and on to 6: what was before the way back belongs to step 3 and later, and stays. */
START_TEST(resuming_a_run_that_went_back_cuts_off_later_steps_only)
{
    static const struct {
        uint64_t resume_step;
        int lines, steps;
    } cases[] = {{6, 11, 8}, {4, 9, 6}, {2, 7, 5}, {1, 2, 1}};
    recorder *r;
    ck_assert_int_eq(recorder_open(support_folder, 0, support_folder, NULL, &r), VGG_OK);
    run_observer on = recorder_observer(r);
    emit_steps(on, 1, 5);
    on.rollback(on.context, &(run_rollback_event){.from_step = 5, .step = 2, .path = "there"});
    on.skip(on.context, &(run_skip_event){.step = 3, .epoch = 1, .loss = NAN, .grad_norm = NAN, .in_row = 1, .step_s = 0.25});
    emit_more_steps(on, 4, 6);
    recorder_close(r);
    char *aside = support_make_folder();
    ck_assert_int_eq(recorder_open(support_folder, cases[_i].resume_step, aside, NULL, &r), VGG_OK);
    recorder_close(r);
    support_remove_folder(aside);
    free(aside);
    json_t *lines[LINES_MAX];
    int count = read_metrics(lines), steps = 0;
    for (int i = 0; i < count; i++) steps += strcmp(event_of(lines[i]), "step") == 0;
    ck_assert_int_eq(count, cases[_i].lines);
    ck_assert_int_eq(steps, cases[_i].steps);
    forget(lines, count);
}
END_TEST

START_TEST(what_is_cut_off_is_kept)
{
    recorder *r;
    char kept[PATH_BYTES], *aside = support_make_folder(), text[4096] = "";
    record(0, 1, 6, false);
    append_text("{\"event\":\"step\",\"st");
    ck_assert_int_eq(recorder_open(support_folder, 4, aside, NULL, &r), VGG_OK);
    recorder_close(r);
    snprintf(kept, sizeof kept, "%s/metrics.jsonl", aside);
    FILE *file = fopen(kept, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, file), 0);
    fclose(file);
    ck_assert_int_eq(strncmp(text, "{\"event\":\"step\",\"step\":5,", 25), 0);
    ck_assert_ptr_nonnull(strstr(text, "}\n{\"event\":\"step\",\"step\":6,"));
    ck_assert_ptr_nonnull(strstr(text, "}\n{\"event\":\"step\",\"st"));
    ck_assert_str_eq(strrchr(text, '\n') + 1, "{\"event\":\"step\",\"st");
    /* There it is already, and nobody may lose it: the file of the run stays as it is. */
    ck_assert_int_eq(recorder_open(support_folder, 2, aside, NULL, &r), VGG_IO_ERROR);
    json_t *lines[LINES_MAX];
    int count = read_metrics(lines);
    ck_assert_int_eq(count, 5);
    forget(lines, count);
    support_remove_folder(aside);
    free(aside);
}
END_TEST

/* Neither the lines nor the name of the file that has them may be lost with the power, once they are cut off. */
START_TEST(what_is_cut_off_is_on_the_disk_before)
{
    recorder *r;
    json_t *lines[LINES_MAX];
    record(0, 1, 6, false);
    int whole = read_metrics(lines);
    forget(lines, whole);
    for (int at = 1; at <= 3; at++) {
        char *aside = support_make_folder();
        sync_that_fails = at;
        ck_assert_int_eq(recorder_open(support_folder, 4, aside, NULL, &r), at <= 2 ? VGG_IO_ERROR : VGG_OK);
        sync_that_fails = 0;
        if (at > 2) recorder_close(r);
        int count = read_metrics(lines);
        ck_assert(at <= 2 ? count == whole : count < whole);
        forget(lines, count);
        support_remove_folder(aside);
        free(aside);
    }
}
END_TEST

START_TEST(a_torn_line_alone_is_cut_off)
{
    record(0, 1, 4, false);
    append_text("{\"event\":\"step\",\"step\":5");
    record(8, 9, 9, false);
    json_t *lines[LINES_MAX];
    int count = read_metrics(lines);
    ck_assert_int_eq(count, 7);
    forget(lines, count);
}
END_TEST

START_TEST(a_fresh_run_empties_the_file)
{
    record(0, 1, 4, false);
    record(0, 1, 1, false);
    json_t *lines[LINES_MAX];
    int count = read_metrics(lines);
    ck_assert_int_eq(count, 2);
    forget(lines, count);
}
END_TEST

START_TEST(resuming_without_a_file_begins_one)
{
    record(4, 5, 5, false);
    json_t *lines[LINES_MAX];
    int count = read_metrics(lines);
    ck_assert_int_eq(count, 2);
    forget(lines, count);
}
END_TEST

START_TEST(a_folder_that_is_missing_is_an_error)
{
    recorder *r = NULL;
    ck_assert_int_eq(recorder_open(in_folder("nowhere"), 0, support_folder, NULL, &r), VGG_IO_ERROR);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "nowhere/metrics.jsonl"));
    recorder_close(NULL);
}
END_TEST

START_TEST(the_summary_has_the_outcome)
{
    record(0, 1, 8, true);
    json_t *root = json_load_file(in_folder("summary.json"), 0, NULL);
    ck_assert_ptr_nonnull(root);
    ck_assert_double_eq(number(root, "final_accuracy"), 0.8);
    ck_assert_double_eq(number(root, "best_accuracy"), 0.9);
    ck_assert_double_eq(number(root, "images_per_second"), 64);
    ck_assert_double_eq(number(json_object_get(root, "config"), "lr"), 0.05);
    ck_assert_double_eq(number(json_object_get(root, "run"), "ranks"), 2);
    ck_assert_double_eq(number(root, "step_s"), 0.25);
    ck_assert_double_eq(number(root, "exchange_s"), 0.0625);
    json_decref(root);
}
END_TEST

/* The first process is killed after its third step, which the second repeats. */
START_TEST(the_summary_is_of_all_processes)
{
    record(0, 1, 3, false);
    record(2, 3, 8, true);
    record(8, 9, 10, true);
    json_t *root = json_load_file(in_folder("summary.json"), 0, NULL);
    ck_assert_ptr_nonnull(root);
    ck_assert_double_eq(number(root, "processes"), 3);
    ck_assert_double_eq(number(root, "evaluations"), 2);
    ck_assert_double_eq(number(root, "images"), 8 * 16 + 128); /* by the lines of steps, and as the last process' end has it */
    ck_assert_double_eq_tol(number(root, "train_s"), 8 * 0.25 + 2, 1e-9);
    ck_assert_double_eq_tol(number(root, "wall_s"), 2 * 0.25 + 2 * 3, 1e-9);
    ck_assert_double_eq(number(root, "memory_peak_bytes"), 1000);
    json_decref(root);
}
END_TEST

static void emit_checkpoint(recorder *r, uint64_t step, double stall_s)
{
    run_observer on = recorder_observer(r);
    on.checkpoint(on.context, &(run_checkpoint_event){.step = step, .path = "there", .bytes = 9, .save_s = 3, .stall_s = stall_s});
}

/* Also where the last process came to none. */
START_TEST(the_last_confusion_matrix_is_kept)
{
    static const uint64_t counts[] = {5, 1, 0, 4};
    recorder *r;
    ck_assert_int_eq(recorder_open(support_folder, 0, support_folder, NULL, &r), VGG_OK);
    emit_steps(recorder_observer(r), 1, 4);
    run_observer on = recorder_observer(r);
    on.eval(on.context, &(run_eval_event){.step = 4, .confusion = counts, .classes = 2});
    recorder_close(r);
    ck_assert_int_eq(recorder_open(support_folder, 4, support_folder, NULL, &r), VGG_OK);
    on = recorder_observer(r);
    emit_steps(on, 5, 5);
    on.end(on.context, &(run_end_event){.message = "", .best_accuracy = NAN, .final_accuracy = NAN, .final_loss = NAN});
    recorder_close(r);
    json_t *root = json_load_file(in_folder("summary.json"), 0, NULL);
    json_t *expected = json_pack("[[i, i], [i, i]]", 5, 1, 0, 4);
    ck_assert(json_equal(json_object_get(root, "confusion"), expected));
    json_decref(expected);
    ck_assert(json_is_null(json_object_get(root, "best_accuracy")) && json_is_null(json_object_get(root, "final_loss")));
    json_decref(root);
}
END_TEST

/* By a process that was killed, by one of an earlier version, which always waited for all of it, and by this one. */
START_TEST(waiting_for_checkpoints_is_summed_up)
{
    recorder *r;
    ck_assert_int_eq(recorder_open(support_folder, 0, support_folder, NULL, &r), VGG_OK);
    emit_steps(recorder_observer(r), 1, 2);
    emit_checkpoint(r, 2, 0.5);
    recorder_close(r);
    append_text("{\"event\":\"checkpoint\",\"step\":2,\"save_s\":1}\n");
    ck_assert_int_eq(recorder_open(support_folder, 2, support_folder, NULL, &r), VGG_OK);
    emit_steps(recorder_observer(r), 3, 3);
    emit_checkpoint(r, 3, 0.25);
    emit_end(recorder_observer(r));
    recorder_close(r);
    json_t *root = json_load_file(in_folder("summary.json"), 0, NULL);
    ck_assert_ptr_nonnull(root);
    ck_assert_double_eq(number(root, "save_stall_s"), 1.75);
    ck_assert_double_eq(number(root, "skipped_steps"), 0);
    json_decref(root);
}
END_TEST

START_TEST(no_end_no_summary)
{
    record(0, 1, 3, false);
    ck_assert_int_ne(access(in_folder("summary.json"), F_OK), 0);
}
END_TEST

static bool have_gnuplot(void) { return system("gnuplot --version >/dev/null 2>&1") == 0; }

START_TEST(plots_are_drawn)
{
    record(0, 1, 8, true);
    if (!have_gnuplot()) {
        ck_assert_int_ne(access(in_folder("plots"), F_OK), 0);
        return;
    }
    static const char *const files[] = {"plots/loss.svg", "plots/accuracy.svg", "plots/learning-rate.svg", "plots/throughput.svg"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct stat status;
        ck_assert_msg(stat(in_folder(files[i]), &status) == 0 && status.st_size > 1000, "%s", files[i]);
    }
}
END_TEST

START_TEST(without_gnuplot_there_are_no_plots)
{
    char *path = strdup(getenv("PATH"));
    setenv("PATH", support_folder, 1);
    record(0, 1, 8, true);
    setenv("PATH", path, 1);
    free(path);
    ck_assert_int_eq(access(in_folder("summary.json"), F_OK), 0);
    ck_assert_int_ne(access(in_folder("plots"), F_OK), 0);
}
END_TEST

/* Standard error of `act`, for free(). */
static char *capture(void (*act)(void))
{
    int saved = dup(STDERR_FILENO), file = open(in_folder("stderr"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(file, STDERR_FILENO);
    act();
    dup2(saved, STDERR_FILENO);
    close(saved);
    char *text = calloc(1, 4096);
    ck_assert_int_ge(pread(file, text, 4095, 0), 0);
    close(file);
    return text;
}

static struct rlimit file_limit;

static void limit_files(rlim_t bytes)
{
    struct rlimit tight = file_limit;
    tight.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &tight);
}

/* A limit on the size of files: writing fails as on a full disk. */
static void begin_limits(void)
{
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &file_limit);
}

static void record_to_a_full_disk(void)
{
    recorder *r;
    begin_limits();
    ck_assert_int_eq(recorder_open(support_folder, 0, support_folder, "{\"lr\":0.05}", &r), VGG_OK);
    limit_files(0);
    emit_steps(recorder_observer(r), 1, 5);
    emit_end(recorder_observer(r));
    limit_files(file_limit.rlim_cur);
    recorder_close(r);
}

START_TEST(a_full_disk_gives_one_warning)
{
    char *text = capture(record_to_a_full_disk);
    ck_assert_ptr_nonnull(strstr(text, "warning: "));
    ck_assert_ptr_nonnull(strstr(text, "metrics.jsonl: 8 lines could not be written: File too large"));
    ck_assert_ptr_eq(strchr(text, '\n'), strrchr(text, '\n'));
    free(text);
    json_t *root = json_load_file(in_folder("summary.json"), 0, NULL);
    ck_assert_ptr_nonnull(root);
    json_decref(root);
}
END_TEST

static void close_what_cannot_be_written(void)
{
    recorder *r;
    ck_assert_int_eq(recorder_open(support_folder, 0, support_folder, NULL, &r), VGG_OK);
    emit_end(recorder_observer(r));
    ck_assert_int_eq(mkdir(in_folder("summary.json"), 0700), 0);
    vgg_fail(VGG_DIVERGED, "training diverged");
    recorder_close(r);
}

START_TEST(what_fails_in_closing_is_not_what_the_run_ended_with)
{
    char *text = capture(close_what_cannot_be_written);
    ck_assert_ptr_nonnull(strstr(text, "warning: "));
    ck_assert_ptr_nonnull(strstr(text, "summary.json"));
    ck_assert_str_eq(vgg_message(), "training diverged");
    free(text);
}
END_TEST

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void assert_untouched(const char *path)
{
    char found[64] = "";
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    found[fread(found, 1, sizeof found - 1, file)] = '\0';
    fclose(file);
    ck_assert_str_eq(found, "untouched");
}

START_TEST(metrics_that_are_no_file_of_this_run_are_refused)
{
    char canary[PATH_BYTES];
    const char *metrics = "metrics.jsonl";
    recorder *r = NULL;
    snprintf(canary, sizeof canary, "%s", in_folder("canary"));
    write_text(canary, "untouched");
    ck_assert_int_eq(symlink(canary, in_folder(metrics)), 0);
    ck_assert_int_eq(recorder_open(support_folder, 0, support_folder, NULL, &r), VGG_IO_ERROR);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "metrics.jsonl: is a symbolic link"));
    unlink(in_folder(metrics));
    ck_assert_int_eq(link(canary, in_folder(metrics)), 0);
    ck_assert_int_eq(recorder_open(support_folder, 7, support_folder, NULL, &r), VGG_IO_ERROR);
    unlink(in_folder(metrics));
    ck_assert_int_eq(mkfifo(in_folder(metrics), 0600), 0);
    ck_assert_int_eq(recorder_open(support_folder, 0, support_folder, NULL, &r), VGG_IO_ERROR);
    assert_untouched(canary);
}
END_TEST

/* A program of the shell that is found as gnuplot; forget_gnuplot() undoes it. */
static char *usual_path;

static void put_gnuplot(const char *script)
{
    char program[PATH_BYTES], path[4 * PATH_BYTES];
    snprintf(program, sizeof program, "%s", in_folder("gnuplot"));
    write_text(program, script);
    ck_assert_int_eq(chmod(program, 0700), 0);
    usual_path = strdup(getenv("PATH"));
    snprintf(path, sizeof path, "%s:%s", support_folder, usual_path);
    setenv("PATH", path, 1);
}

static void forget_gnuplot(void)
{
    setenv("PATH", usual_path, 1);
    free(usual_path);
}

static const char drawing[] =
    "#!/bin/sh\ncat >/dev/null\nfor f in loss accuracy learning-rate throughput; do echo drawn >$f.svg; done\n";

START_TEST(pictures_take_the_places_of_links_and_pipes)
{
    char canary[PATH_BYTES];
    struct stat facts;
    snprintf(canary, sizeof canary, "%s", in_folder("canary"));
    write_text(canary, "untouched");
    ck_assert_int_eq(mkdir(in_folder("plots"), 0700), 0);
    ck_assert_int_eq(symlink(canary, in_folder("plots/loss.svg")), 0);
    ck_assert_int_eq(mkfifo(in_folder("plots/accuracy.svg"), 0600), 0);
    put_gnuplot(drawing);
    record(0, 1, 2, true);
    forget_gnuplot();
    static const char *const files[] = {"plots/loss.svg", "plots/accuracy.svg", "plots/throughput.svg"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        ck_assert_msg(lstat(in_folder(files[i]), &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size == 6, "%s", files[i]);
    assert_untouched(canary);
}
END_TEST

static void record_two_steps(void) { record(0, 1, 2, true); }

START_TEST(a_link_in_place_of_the_folder_of_pictures_is_not_followed)
{
    char elsewhere[PATH_BYTES];
    snprintf(elsewhere, sizeof elsewhere, "%s", in_folder("elsewhere"));
    ck_assert_int_eq(mkdir(elsewhere, 0700), 0);
    ck_assert_int_eq(symlink(elsewhere, in_folder("plots")), 0);
    put_gnuplot(drawing);
    char *text = capture(record_two_steps);
    forget_gnuplot();
    ck_assert_ptr_nonnull(strstr(text, "warning: "));
    ck_assert_ptr_nonnull(strstr(text, "plots: no pictures"));
    free(text);
    ck_assert_int_eq(rmdir(elsewhere), 0); /* it is empty */
}
END_TEST

/* gnuplot itself, what it started, and a reader that does not read. */
static const char *const endless[] = {"#!/bin/sh\nexec sleep 1000\n", "#!/bin/sh\nsleep 1000\n",
                                      "#!/bin/sh\ncat >/dev/null\nexec <&-\nsleep 1000 &\nwait\n"};

START_TEST(a_gnuplot_that_does_not_end_is_ended)
{
    static char script[1 << 22]; /* more than a socket takes unread */
    int folder = open(support_folder, O_RDONLY | O_DIRECTORY);
    put_gnuplot(endless[_i]);
    memset(script, '#', sizeof script);
    vgg_status status = gnuplot_draw(folder, (const char *const[]){"loss.svg", NULL}, script, sizeof script, 1);
    forget_gnuplot();
    close(folder);
    ck_assert_int_eq(status, VGG_IO_ERROR);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "did not end within 1 s"));
}
END_TEST

START_TEST(a_gnuplot_that_fails_is_told)
{
    int folder = open(support_folder, O_RDONLY | O_DIRECTORY);
    put_gnuplot("#!/bin/sh\nexit 3\n");
    ck_assert_int_eq(gnuplot_draw(folder, (const char *const[]){"loss.svg", NULL}, "", 0, 60), VGG_IO_ERROR);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "gnuplot failed (status 3)"));
    forget_gnuplot();
    close(folder);
}
END_TEST

/* A write that takes part of a line, as a disk does that fills up: the part goes, and later lines are whole. */
START_TEST(a_line_cut_short_leaves_nothing_behind)
{
    metrics_file file;
    struct rlimit before, tight;
    ck_assert_int_eq(metrics_file_open(&file, in_folder("metrics.jsonl"), 0, support_folder), VGG_OK);
    metrics_file_append(&file, json_pack("{s:i}", "step", 1));
    getrlimit(RLIMIT_FSIZE, &before);
    tight = before;
    tight.rlim_cur = (rlim_t)file.whole_bytes + 4;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &tight);
    metrics_file_append(&file, json_pack("{s:i}", "step", 2));
    setrlimit(RLIMIT_FSIZE, &before);
    ck_assert_uint_eq(file.lines_lost, 1);
    metrics_file_append(&file, json_pack("{s:i}", "s", 3));
    metrics_file_close(&file);
    json_t *lines[LINES_MAX];
    int count = read_metrics(lines);
    ck_assert_int_eq(count, 2);
    ck_assert_double_eq(number(lines[1], "s"), 3);
    forget(lines, count);
}
END_TEST

/* What rank 0 gets from one rank: half a second of a layer with 2 GFLOP and 1 GB, and a message. Of the second rank it is known what its
 * machine can do: the operations in 0.2 s, the traffic in 0.25 s. */
static void tell_rank(const run_observer *on, int rank, const char *host)
{
    const span spans[] = {
        {.name = "conv1 forward", .line = SPAN_TRAINING, .start_s = 101, .end_s = 101.5, .step = 3, .work = {2e9, 1e9}},
        {.name = "bucket", .line = SPAN_MESSAGES, .start_s = 101.25, .end_s = 102, .step = 3},
    };
    run_spans_event event = {.rank = rank, .ranks = 2, .host = host, .origin_s = 100, .spans = spans, .count = 2};
    if (rank > 0) {
        event.round_trip_s = 30e-6;
        event.limits = (span_limits){10e9, 4e9};
    }
    on->spans(on->context, &event);
}

/* The argument `key` of the metadata `name` of a process or, with a `line`, of a thread there. */
static const json_t *said(const json_t *events, int rank, int line, const char *name, const char *key)
{
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i), *tid = json_object_get(event, "tid");
        if (strcmp(json_string_value(json_object_get(event, "name")), name) != 0 || number(event, "pid") != rank) continue;
        if (tid ? json_integer_value(tid) == line : line < 0) return json_object_get(json_object_get(event, "args"), key);
    }
    return NULL;
}

static void check_spans(const json_t *events)
{
    int found = 0;
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i), *args = json_object_get(event, "args");
        if (strcmp(json_string_value(json_object_get(event, "ph")), "X") != 0) continue;
        bool layer = strcmp(json_string_value(json_object_get(event, "name")), "bucket") != 0;
        ck_assert_int_eq((int)number(event, "pid"), found / 2);
        ck_assert_int_eq((int)number(event, "tid"), layer ? SPAN_TRAINING : SPAN_MESSAGES);
        ck_assert_double_eq_tol(number(event, "ts"), layer ? 1e6 : 1.25e6, 1e-3);
        ck_assert_double_eq_tol(number(event, "dur"), layer ? 0.5e6 : 0.75e6, 1e-3);
        ck_assert_int_eq((int)number(args, "step"), 3);
        ck_assert(layer == (json_object_get(args, "gflop") != NULL));
        if (layer) ck_assert_double_eq_tol(number(args, "gflop"), 2, 1e-9);
        if (layer) ck_assert_double_eq_tol(number(args, "gflop_per_s"), 4, 1e-9);
        ck_assert((layer && found / 2 == 1) == (json_object_get(args, "limit_share") != NULL));
        if (layer && found / 2 == 1) ck_assert_double_eq_tol(number(args, "limit_share"), 0.5, 1e-9);
        found++;
    }
    ck_assert_int_eq(found, 4);
}

START_TEST(the_trace_is_json_with_all_ranks)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s", in_folder("trace.json"));
    trace *t;
    ck_assert_int_eq(trace_open(path, &t), VGG_OK);
    run_observer on = trace_observer(t);
    tell_rank(&on, 0, "one");
    tell_rank(&on, 1, "a\"b\\c\n\xff");
    json_t *root = json_load_file(path, 0, NULL), *events = json_object_get(root, "traceEvents"); /* before it is closed */
    ck_assert_ptr_nonnull(root);
    check_spans(events);
    ck_assert_str_eq(json_string_value(said(events, 0, -1, "process_name", "name")), "rank 0 on one");
    ck_assert_str_eq(json_string_value(said(events, 1, -1, "process_name", "name")), "rank 1 on a?b?c??");
    ck_assert_int_eq((int)json_integer_value(said(events, 1, -1, "process_sort_index", "sort_index")), 1);
    ck_assert_ptr_null(said(events, 0, -1, "process_labels", "labels"));
    ck_assert_str_eq(json_string_value(said(events, 1, -1, "process_labels", "labels")),
                     "clock +-15.0 us, at most 10 GFLOP/s and 4 GB/s");
    ck_assert_str_eq(json_string_value(said(events, 1, SPAN_TRAINING, "thread_name", "name")), "training");
    ck_assert_str_eq(json_string_value(said(events, 1, SPAN_MESSAGES, "thread_name", "name")), "messages 1");
    json_decref(root);
    trace_close(t);
    root = json_load_file(path, 0, NULL);
    ck_assert_uint_eq(json_array_size(json_object_get(root, "traceEvents")), 2 * (2 + 6 + 2) + 1);
    json_decref(root);
}
END_TEST

START_TEST(a_trace_of_nothing_is_json)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s", in_folder("trace.json"));
    trace *t;
    ck_assert_int_eq(trace_open(path, &t), VGG_OK);
    trace_close(t);
    json_t *root = json_load_file(path, 0, NULL);
    ck_assert_uint_eq(json_array_size(json_object_get(root, "traceEvents")), 0);
    json_decref(root);
}
END_TEST

START_TEST(a_trace_that_cannot_be_opened_is_an_error)
{
    trace *t = NULL;
    ck_assert_int_eq(mkfifo(in_folder("pipe"), 0600), 0);
    ck_assert_int_eq(trace_open(in_folder("pipe"), &t), VGG_IO_ERROR);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "is not a regular file"));
    ck_assert_int_eq(trace_open(in_folder("no/trace.json"), &t), VGG_IO_ERROR);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "--trace"));
}
END_TEST

/* A file of another run is not written over, nor what a link leads to. */
START_TEST(an_event_file_takes_no_name_that_is_taken)
{
    char taken[256], link[256];
    event_file file;
    snprintf(taken, sizeof taken, "%s", in_folder("taken"));
    snprintf(link, sizeof link, "%s", in_folder("link"));
    close(open(taken, O_WRONLY | O_CREAT, 0600));
    ck_assert_int_eq(symlink(taken, link), 0);
    ck_assert_int_eq(event_file_create(taken, &file), VGG_IO_ERROR);
    ck_assert_int_eq(event_file_create(link, &file), VGG_IO_ERROR);
    struct stat facts;
    ck_assert(stat(taken, &facts) == 0 && facts.st_size == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recorder");
    TCase *cases = tcase_create("recorder");
    tcase_add_checked_fixture(cases, support_open_folder, support_close_folder);
    tcase_add_test(cases, lines_hold_the_events);
    tcase_add_test(cases, each_line_has_its_time);
    tcase_add_test(cases, the_history_has_a_row_an_epoch);
    tcase_add_test(cases, a_history_without_memory_is_written_later);
    tcase_add_test(cases, the_summary_says_what_was_run_and_when);
    tcase_add_test(cases, each_line_is_there_at_once);
    tcase_add_test(cases, numbers_that_are_not_finite_become_null);
    tcase_add_test(cases, resuming_cuts_off_what_will_be_repeated);
    tcase_add_loop_test(cases, resuming_a_run_that_went_back_cuts_off_later_steps_only, 0, 4);
    tcase_add_test(cases, what_is_cut_off_is_kept);
    tcase_add_test(cases, what_is_cut_off_is_on_the_disk_before);
    tcase_add_test(cases, a_torn_line_alone_is_cut_off);
    tcase_add_test(cases, a_fresh_run_empties_the_file);
    tcase_add_test(cases, resuming_without_a_file_begins_one);
    tcase_add_test(cases, a_folder_that_is_missing_is_an_error);
    tcase_add_test(cases, the_summary_has_the_outcome);
    tcase_add_test(cases, the_summary_is_of_all_processes);
    tcase_add_test(cases, waiting_for_checkpoints_is_summed_up);
    tcase_add_test(cases, the_last_confusion_matrix_is_kept);
    tcase_add_test(cases, no_end_no_summary);
    tcase_add_test(cases, plots_are_drawn);
    tcase_add_test(cases, without_gnuplot_there_are_no_plots);
    tcase_add_test(cases, a_full_disk_gives_one_warning);
    tcase_add_test(cases, what_fails_in_closing_is_not_what_the_run_ended_with);
    tcase_add_test(cases, metrics_that_are_no_file_of_this_run_are_refused);
    tcase_add_test(cases, pictures_take_the_places_of_links_and_pipes);
    tcase_add_test(cases, a_link_in_place_of_the_folder_of_pictures_is_not_followed);
    tcase_add_loop_test(cases, a_gnuplot_that_does_not_end_is_ended, 0, sizeof endless / sizeof *endless);
    tcase_add_test(cases, a_gnuplot_that_fails_is_told);
    tcase_add_test(cases, a_line_cut_short_leaves_nothing_behind);
    tcase_add_test(cases, the_trace_is_json_with_all_ranks);
    tcase_add_test(cases, a_trace_of_nothing_is_json);
    tcase_add_test(cases, a_trace_that_cannot_be_opened_is_an_error);
    tcase_add_test(cases, an_event_file_takes_no_name_that_is_taken);
    suite_add_tcase(suite, cases);
    return support_run(suite, NULL);
}

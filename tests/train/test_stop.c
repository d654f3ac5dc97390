/* A signal to one rank: all stop after the same step, or in the same evaluation, with a checkpoint from which the run goes on to the
 * same bits. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/runs.h"
#include "vgg11/base/log.h"
#include "vgg11/train/evaluate.h"
#include "vgg11/train/stop_signal.h"

enum { SAMPLES = 20, BATCH = 8, STEPS_PER_EPOCH = 3, STEPS = 6 };

static const char *whole; /* folder of the uninterrupted run */
static pid_t target;      /* process of the last rank */

static const int numbers[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP};
enum { NUMBERS = sizeof numbers / sizeof numbers[0] };

/* What the last rank gets, and when. */
typedef struct {
    int number;
    uint64_t after;    /* this step; 0: none */
    int in_evaluation; /* the how manyeth of this run; 0: none */
} sending;
static sending sent;

static train_config config_of(void)
{
    train_config config = runs_config(SAMPLES, BATCH);
    config.max_steps = STEPS;
    config.checkpoint_every = config.epochs;
    config.keep = 1;
    config.step.exchange.name = "node";
    return config;
}

static void run_whole(void)
{
    pid_t mine = getpid(), *all = malloc((size_t)comm_size(ranks) * sizeof *all);
    runs_require(all != NULL, "no memory");
    comm_gather_all(ranks, &mine, sizeof mine, all);
    target = all[comm_size(ranks) - 1];
    free(all);
    vgg_log_configure(VGG_LOG_ERROR, comm_rank(ranks) == 0);
    train_config config = config_of();
    whole = runs_fresh_folder();
    config.output = whole;
    runs_expect(&config, VGG_OK, "uninterrupted");
}

/* Sent, but not taken yet? As /proc says. */
static bool pending(pid_t process, int number)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    FILE *file = fopen(path, "r");
    runs_require(file != NULL, path);
    uint64_t mask = 0;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "ShdPnd:", 7) == 0) mask = strtoull(line + 7, NULL, 16);
    }
    fclose(file);
    return (mask >> (number - 1) & 1) != 0;
}

/* The other process has it before anything else happens here. */
static void send_signal(void)
{
    runs_require(kill(target, sent.number) == 0, "kill");
    while (pending(target, sent.number)) usleep(1000);
}

/* On rank 0. */
static void after_step(void *context, const run_step_event *event)
{
    (void)context;
    if (event->step == sent.after) send_signal();
}

__typeof__(evaluate_run) __real_evaluate_run, __wrap_evaluate_run;
vgg_status __wrap_evaluate_run(comm *c, network *net, const float *weights, const dataset *set, const normalization *table,
                               uint32_t batch, evaluation *result)
{
    if (sent.in_evaluation > 0 && --sent.in_evaluation == 0 && comm_rank(c) == 0) send_signal();
    return __real_evaluate_run(c, net, weights, set, table, batch, result);
}

/* What happens when the signal comes. */
static void (*handler_of(int number))(int)
{
    struct sigaction now;
    sigaction(number, NULL, &now);
    return now.sa_handler;
}

static void run_signalled(sending what, const char *folder, run_record *record, vgg_status expected)
{
    run_observer observers[] = {runs_recorder(record), {.step = after_step}};
    train_config config = config_of();
    void (*before[NUMBERS])(int);
    for (int i = 0; i < NUMBERS; i++) before[i] = handler_of(numbers[i]);
    sent = what;
    config.output = folder;
    config.observers = observers;
    config.observer_count = 2;
    runs_expect(&config, expected, "signalled");
    sent = (sending){0};
    for (int i = 0; i < NUMBERS; i++) ranks_assert(handler_of(numbers[i]) == before[i], "the handler is gone after the run");
}

static bool stopped_once(const run_record *record, uint64_t step)
{
    return record->step_count == (int)step && record->saved_count == 1 && record->saved[0] == step && record->ends == 1 &&
           record->end_status == VGG_STOPPED;
}

/* As much as a run to the end has evaluated, whose files are then the same. */
static void expect_the_same_end(const char *folder, uint64_t from, int evaluations)
{
    run_record record;
    train_config config = config_of();
    config.output = config.resume = folder;
    runs_expect_recorded(config, &record, VGG_OK, "resumed");
    bool first = comm_rank(ranks) == 0;
    ranks_assert(!first || record.start_step == from, "resumed where it stopped");
    ranks_assert(!first || record.eval_count == evaluations, "evaluations left");
    ranks_assert(!first || runs_same_file(whole, folder, STEPS), "files at the end");
    ranks_assert(!first || runs_same_best(whole, folder), "best weights");
}

/* In mid-epoch, where an epoch ends, and in the last step: what is left to do then is an evaluation. */
START_TEST(all_stop_and_go_on_to_the_same_bits)
{
    static const int steps[NUMBERS] = {2, STEPS_PER_EPOCH, 5, STEPS};
    int number = numbers[_i], step = steps[_i], evaluated = (step - 1) / STEPS_PER_EPOCH;
    run_record record;
    const char *folder = runs_fresh_folder();
    run_signalled((sending){.number = number, .after = (uint64_t)step - 1}, folder, &record, VGG_STOPPED);
    bool first = comm_rank(ranks) == 0;
    ranks_assert(strstr(vgg_message(), folder) && strstr(vgg_message(), stop_signal_name(number)), vgg_message());
    ranks_assert(!first || stopped_once(&record, (uint64_t)step), "one checkpoint, after the step in which the signal came");
    ranks_assert(!first || record.eval_count == evaluated, "no evaluation after the signal");
    expect_the_same_end(folder, (uint64_t)step, STEPS / STEPS_PER_EPOCH - evaluated);
}
END_TEST

/* Of the last one, too, which is then left to do. */
START_TEST(an_evaluation_is_given_up)
{
    run_record record;
    const char *folder = runs_fresh_folder();
    run_signalled((sending){.number = SIGTERM, .in_evaluation = 1 + _i}, folder, &record, VGG_STOPPED);
    uint64_t step = (uint64_t)(1 + _i) * STEPS_PER_EPOCH;
    bool first = comm_rank(ranks) == 0;
    ranks_assert(!first || (stopped_once(&record, step) && record.eval_count == _i), "saved, and not evaluated");
    expect_the_same_end(folder, step, STEPS / STEPS_PER_EPOCH - _i);
}
END_TEST

/* The run ends within an epoch. */
START_TEST(the_last_evaluation_is_made_up_for)
{
    run_record record;
    const char *straight = runs_fresh_folder(), *folder = runs_fresh_folder();
    train_config config = config_of();
    config.max_steps = STEPS - 1;
    config.output = straight;
    runs_expect(&config, VGG_OK, "uninterrupted");
    run_observer observer = runs_recorder(&record);
    config.output = folder;
    config.observers = &observer;
    config.observer_count = 1;
    sent = (sending){.number = SIGINT, .in_evaluation = 2};
    runs_expect(&config, VGG_STOPPED, "signalled in the last evaluation");
    config.resume = folder;
    runs_expect(&config, VGG_OK, "resumed");
    bool first = comm_rank(ranks) == 0;
    ranks_assert(!first || record.eval_count == 2, "evaluated once more");
    ranks_assert(!first || runs_same_file(straight, folder, STEPS - 1), "files at the end");
    ranks_assert(!first || runs_same_best(straight, folder), "best weights");
}
END_TEST

START_TEST(without_a_folder_it_stops_unsaved)
{
    run_record record;
    run_signalled((sending){.number = SIGUSR1, .after = 1}, NULL, &record, VGG_STOPPED);
    ranks_assert(comm_rank(ranks) > 0 || (record.step_count == 2 && record.saved_count == 0), "stopped after step 2");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("stop");
    TCase *tests = tcase_create("stop");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, run_whole, runs_remove_folders);
    tcase_add_loop_test(tests, all_stop_and_go_on_to_the_same_bits, 0, NUMBERS);
    tcase_add_loop_test(tests, an_evaluation_is_given_up, 0, STEPS / STEPS_PER_EPOCH);
    tcase_add_test(tests, the_last_evaluation_is_made_up_for);
    tcase_add_test(tests, without_a_folder_it_stops_unsaved);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

/* SIGUSR1 to one rank: all stop after the same step, with a checkpoint from which the run goes on to the same bits. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/runs.h"
#include "vgg11/base/log.h"

/* 2 steps an epoch. */
enum { SAMPLES = 12, BATCH = 8, STEPS = 4 };

static const char *whole; /* folder of the uninterrupted run */
static pid_t target;      /* process of the last rank */

static train_config config_of(void)
{
    train_config config = runs_config(SAMPLES, BATCH);
    config.max_steps = STEPS;
    config.checkpoint_every = config.epochs;
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
static bool pending(pid_t process)
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
    return (mask >> (SIGUSR1 - 1) & 1) != 0;
}

/* On rank 0, after step *context: the signal has reached the other process before the next step begins. */
static void send_signal(void *context, const run_step_event *event)
{
    if (event->step != *(const uint64_t *)context) return;
    runs_require(kill(target, SIGUSR1) == 0, "kill");
    while (pending(target)) usleep(1000);
}

static bool is_default(void)
{
    struct sigaction now;
    sigaction(SIGUSR1, NULL, &now);
    return now.sa_handler == SIG_DFL;
}

static void run_signalled(uint64_t after, const char *folder, run_record *record, vgg_status expected)
{
    run_observer observers[] = {runs_recorder(record), {.context = &after, .step = send_signal}};
    train_config config = config_of();
    config.output = folder;
    config.observers = observers;
    config.observer_count = 2;
    runs_expect(&config, expected, "signalled");
    ranks_assert(is_default(), "the handler is gone after the run");
}

static bool stopped_once(const run_record *record, uint64_t step)
{
    return record->step_count == (int)step && record->saved_count == 1 && record->saved[0] == step && record->ends == 1 &&
           record->end_status == VGG_STOPPED;
}

/* In mid-epoch, and where an epoch ends. */
START_TEST(all_stop_and_go_on_to_the_same_bits)
{
    uint64_t step = (uint64_t)_i;
    run_record record;
    const char *folder = runs_fresh_folder();
    run_signalled(step - 1, folder, &record, VGG_STOPPED);
    ranks_assert(strstr(vgg_message(), folder) != NULL, vgg_message());
    bool first = comm_rank(ranks) == 0;
    ranks_assert(!first || stopped_once(&record, step), "one checkpoint, after the step in which the signal came");

    run_observer observer = runs_recorder(&record);
    train_config config = config_of();
    config.output = config.resume = folder;
    config.observers = &observer;
    config.observer_count = 1;
    runs_expect(&config, VGG_OK, "resumed");
    ranks_assert(!first || record.start_step == step, "resumed where it stopped");
    ranks_assert(!first || runs_same_file(whole, folder, STEPS), "files at the end");
}
END_TEST

/* Then it is done, and nobody has to run it again. */
START_TEST(a_signal_in_the_last_step_stops_nothing)
{
    run_record record;
    const char *folder = runs_fresh_folder();
    run_signalled(STEPS - 1, folder, &record, VGG_OK);
    ranks_assert(comm_rank(ranks) > 0 || runs_same_file(whole, folder, STEPS), "files at the end");
}
END_TEST

START_TEST(without_a_folder_it_stops_unsaved)
{
    run_record record;
    run_signalled(1, NULL, &record, VGG_STOPPED);
    ranks_assert(comm_rank(ranks) > 0 || (record.step_count == 2 && record.saved_count == 0), "stopped after step 2");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("stop");
    TCase *tests = tcase_create("stop");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, run_whole, runs_remove_folders);
    tcase_add_loop_test(tests, all_stop_and_go_on_to_the_same_bits, 2, 4);
    tcase_add_test(tests, a_signal_in_the_last_step_stops_nothing);
    tcase_add_test(tests, without_a_folder_it_stops_unsaved);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

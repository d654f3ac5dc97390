/* A disk that is full for a while: training goes on, all ranks alike, and ends well if the last checkpoint could be saved. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train/runs.h"
#include "vgg11/base/log.h"

/* 2 steps an epoch. */
enum { SAMPLES = 16, BATCH = 8, STEPS = 4, ROOM_BYTES = 1 << 20 };

static struct rlimit unlimited;
static const char *whole; /* folder of a run that nothing happened to */

/* After which steps rank 0's files may grow no more, may grow again, and the run is told to stop; 0 for never. */
typedef struct {
    uint64_t full, room, stop;
} events;

static void limit_files(rlim_t bytes)
{
    struct rlimit limit = unlimited;
    limit.rlim_cur = bytes;
    runs_require(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
}

static void on_step(void *context, const run_step_event *event)
{
    const events *at = context;
    if (event->step == at->full) limit_files(ROOM_BYTES);
    if (event->step == at->room) limit_files(unlimited.rlim_cur);
    if (event->step == at->stop) raise(SIGUSR1);
}

static train_config config_of(void)
{
    train_config config = runs_config(SAMPLES, BATCH);
    config.max_steps = STEPS;
    config.checkpoint_steps = 1;
    config.background_saves = false; /* so that it is known which save finds no room */
    return config;
}

static void set_up(void)
{
    vgg_log_configure(VGG_LOG_ERROR, comm_rank(ranks) == 0);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &unlimited);
    train_config config = config_of();
    config.output = whole = runs_fresh_folder();
    runs_expect(&config, VGG_OK, "uninterrupted");
}

static void expect(train_config config, events at, run_record *record, vgg_status expected, const char *what)
{
    run_observer observers[] = {runs_recorder(record), {.context = &at, .step = on_step}};
    config.observers = observers;
    config.observer_count = 2;
    runs_expect(&config, expected, what);
    limit_files(unlimited.rlim_cur);
}

static bool exists(const char *folder, const char *name)
{
    char path[CHECKPOINT_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static bool saved_but_the_second(const run_record *record, const char *folder)
{
    return record->saved_count == 3 && record->saved[0] == 1 && record->saved[1] == 3 && record->saved[2] == 4 &&
           !exists(folder, "checkpoint-00000002.safetensors") && runs_same_file(folder, whole, STEPS);
}

START_TEST(a_save_that_failed_is_followed_by_the_next)
{
    run_record record;
    train_config config = config_of();
    config.output = runs_fresh_folder();
    expect(config, (events){.full = 2, .room = 3}, &record, VGG_OK, "full for a step");
    ranks_assert(comm_rank(ranks) > 0 || saved_but_the_second(&record, config.output), "checkpoints 1, 3 and 4");
}
END_TEST

START_TEST(the_last_save_is_the_one_that_counts)
{
    run_record record;
    train_config config = config_of();
    config.output = runs_fresh_folder();
    expect(config, (events){.full = STEPS}, &record, VGG_IO_ERROR, "full at the end");
    ranks_assert(strstr(vgg_message(), "checkpoint-00000004") != NULL, vgg_message());
    ranks_assert(comm_rank(ranks) > 0 || runs_same_file(config.output, whole, STEPS - 1), "the one before is whole");
    ranks_assert(comm_rank(ranks) > 0 || record.end_status == VGG_IO_ERROR, "told to observers");
}
END_TEST

/* Status 75 promises a checkpoint. */
START_TEST(a_stop_that_cannot_save_is_an_error)
{
    run_record record;
    train_config config = config_of();
    config.output = runs_fresh_folder();
    expect(config, (events){.full = 2, .stop = 2}, &record, VGG_IO_ERROR, "stopped on a full disk");
    ranks_assert(strstr(vgg_message(), "checkpoint-00000002") != NULL, vgg_message());
}
END_TEST

static bool best_is_kept(const run_record *record, const char *folder)
{
    runs_require(record->eval_count == 2 && record->evals[0].best && record->evals[1].test_accuracy > 0, "two evaluations");
    return record->evals[1].best && exists(folder, "best.safetensors");
}

/* Weights that could not be saved are no reason to pass over later ones that are better than what was. */
START_TEST(the_best_is_the_best_that_is_saved)
{
    run_record record;
    train_config config = config_of();
    config.output = runs_fresh_folder();
    config.checkpoint_steps = 0;
    config.checkpoint_every = 1;
    expect(config, (events){.full = 2, .room = 3}, &record, VGG_OK, "full after the first epoch");
    ranks_assert(comm_rank(ranks) > 0 || best_is_kept(&record, config.output), "best of the second epoch");
}
END_TEST

START_TEST(a_folder_in_place_of_an_old_checkpoint_is_left_alone)
{
    run_record record;
    char path[CHECKPOINT_PATH_MAX];
    train_config config = config_of();
    config.output = runs_fresh_folder();
    config.keep = 1;
    checkpoint_path(config.output, 0, path);
    runs_require(comm_rank(ranks) > 0 || mkdir(path, 0700) == 0, path);
    expect(config, (events){0}, &record, VGG_OK, "a folder there");
    ranks_assert(comm_rank(ranks) > 0 || (record.saved_count == STEPS && access(path, F_OK) == 0),
                 "all saved, and the folder there");
    ranks_assert(comm_rank(ranks) > 0 || !exists(config.output, "checkpoint-00000003.safetensors"), "old ones are removed");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("save failures");
    TCase *tests = tcase_create("save failures");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, set_up, runs_remove_folders);
    tcase_add_test(tests, a_save_that_failed_is_followed_by_the_next);
    tcase_add_test(tests, the_last_save_is_the_one_that_counts);
    tcase_add_test(tests, a_stop_that_cannot_save_is_an_error);
    tcase_add_test(tests, the_best_is_the_best_that_is_saved);
    tcase_add_test(tests, a_folder_in_place_of_an_old_checkpoint_is_left_alone);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

/* Saves beside the training: steps go on meanwhile, what follows waits for them, and what becomes of them is said. The linker puts functions
 * of this file around two that the saving calls (see CMakeLists.txt): a save stands still before its first byte until it is let go. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "train/runs.h"
#include "train/saver.h"
#include "vgg11/base/log.h"

/* 4 steps an epoch. */
enum { SAMPLES = 32, BATCH = 8, STEPS = 6, EVERY = 2, PATIENCE_MS = 120000 };

static const char *whole; /* folder of a run that waited for its saves */
static pthread_t main_thread;

static struct {
    atomic_bool closed; /* the next save of a thread stands still */
    atomic_bool let_go; /* it may go on, wherever it is by now */
    bool fails;         /* it finds no room then */
    atomic_int held;    /* saves that have stood still */
    atomic_int open_to; /* signals that the thread would have taken */
    atomic_bool too_long;
    int waits; /* of the main thread, for one that was not let go */
    int ends[2];
} gate;

static void note_signals(void)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    for (int number = 1; number <= SIGSYS; number++) /* those behind are the library's, which keeps some for itself */
        gate.open_to += number != SIGKILL && number != SIGSTOP && sigismember(&mask, number) == 0;
}

static void stand_still(void)
{
    struct pollfd end = {.fd = gate.ends[0], .events = POLLIN};
    char byte;
    note_signals();
    if (poll(&end, 1, PATIENCE_MS) != 1 || read(gate.ends[0], &byte, 1) != 1) gate.too_long = true;
    gate.held++;
}

static void let_go(void)
{
    gate.let_go = true;
    runs_require(write(gate.ends[1], "", 1) == 1, "pipe");
}

int __real_posix_fallocate(int file, off_t offset, off_t bytes);
int __wrap_posix_fallocate(int file, off_t offset, off_t bytes);
int __wrap_posix_fallocate(int file, off_t offset, off_t bytes)
{
    if (pthread_equal(pthread_self(), main_thread) || !atomic_exchange(&gate.closed, false))
        return __real_posix_fallocate(file, offset, bytes);
    stand_still();
    return gate.fails ? ENOSPC : __real_posix_fallocate(file, offset, bytes);
}

/* Who waits would wait for ever. */
int __real_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_join(pthread_t thread, void **result)
{
    if (!gate.let_go) {
        gate.waits++;
        let_go();
    }
    return __real_pthread_join(thread, result);
}

/* After which steps the save under way is let go, and the run is told to stop; 0 for never. */
typedef struct {
    uint64_t let_go, stop;
} events;

static void on_step(void *context, const run_step_event *event)
{
    const events *at = context;
    if (event->step == at->let_go) let_go();
    if (event->step == at->stop) raise(SIGUSR1);
}

static train_config config_of(void)
{
    train_config config = runs_config(SAMPLES, BATCH);
    config.max_steps = STEPS;
    config.checkpoint_steps = EVERY;
    config.step.exchange.name = "node";
    config.background_saves = true;
    config.output = runs_fresh_folder();
    return config;
}

static void set_up(void)
{
    vgg_log_configure(VGG_LOG_ERROR, comm_rank(ranks) == 0);
    main_thread = pthread_self();
    runs_require(pipe(gate.ends) == 0, "pipe");
    gate.let_go = true;
    train_config config = config_of();
    config.background_saves = false;
    whole = config.output;
    runs_expect(&config, VGG_OK, "saves that are waited for");
}

/* With the first save standing still. */
static void run_held(const train_config *held, events at, run_record *record, vgg_status expected)
{
    train_config config = *held;
    run_observer observers[] = {runs_recorder(record), {.context = &at, .step = on_step}};
    config.observers = observers;
    config.observer_count = 2;
    gate.held = 0;
    gate.waits = 0;
    gate.open_to = 0;
    gate.let_go = comm_rank(ranks) > 0;
    gate.closed = comm_rank(ranks) == 0;
    runs_expect(&config, expected, "a save that stands still");
    gate.fails = false;
    ranks_assert(!gate.too_long, "nobody waited for the training to let a save go");
    ranks_assert(comm_rank(ranks) > 0 || gate.held == 1, "a thread saved");
    ranks_assert(gate.open_to == 0, "it takes no signal");
}

static bool saved(const run_record *record, const char *folder, const uint64_t *steps, int count)
{
    bool right = comm_rank(ranks) > 0 || record->saved_count == count;
    for (int i = 0; comm_rank(ranks) == 0 && right && i < count; i++)
        right = record->saved[i] == steps[i] && runs_same_file(folder, whole, steps[i]);
    return right;
}

static bool exists(const char *folder, const char *name)
{
    char path[CHECKPOINT_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* What is written after the next step is still the weights of the step before. */
START_TEST(steps_go_on_meanwhile)
{
    run_record record;
    train_config config = config_of();
    run_held(&config, (events){.let_go = EVERY + 1}, &record, VGG_OK);
    ranks_assert(gate.waits == 0, "let go by the next step");
    ranks_assert(saved(&record, config.output, (uint64_t[]){2, 4, 6}, 3), "the same files");
}
END_TEST

/* Here with the next save, or with the last of a run that is told to stop. */
START_TEST(what_follows_waits)
{
    run_record record;
    train_config config = config_of();
    events at = {.stop = _i ? EVERY : 0};
    run_held(&config, at, &record, _i ? VGG_STOPPED : VGG_OK);
    ranks_assert(comm_rank(ranks) > 0 || gate.waits == 1, "waited for");
    if (_i)
        ranks_assert(comm_rank(ranks) > 0 || (record.saved_count == 2 && record.saved[0] == 2 && record.saved[1] == 3),
                     "saved before it stopped, and then");
    else
        ranks_assert(saved(&record, config.output, (uint64_t[]){2, 4, 6}, 3), "the same files");
}
END_TEST

START_TEST(a_failure_costs_that_checkpoint_alone)
{
    run_record record;
    train_config config = config_of();
    gate.fails = true;
    run_held(&config, (events){.let_go = EVERY + 1}, &record, VGG_OK);
    ranks_assert(saved(&record, config.output, (uint64_t[]){4, 6}, 2), "the others are there");
    ranks_assert(!exists(config.output, "checkpoint-00000002.safetensors"), "this one is not");
}
END_TEST

static bool best_of_both(const run_record *record)
{
    return comm_rank(ranks) > 0 || (record->eval_count == 2 && record->evals[0].best && record->evals[1].best);
}

/* Weights that could not be saved are no reason to pass over later ones: an evaluation waits until that is known. */
START_TEST(the_best_is_the_best_that_is_saved)
{
    run_record record;
    train_config config = config_of();
    config.checkpoint_steps = 0;
    config.checkpoint_every = 1;
    config.data.train_samples = SAMPLES / 2;
    config.max_steps = SAMPLES / BATCH;
    gate.fails = true;
    run_held(&config, (events){0}, &record, VGG_OK);
    ranks_assert(comm_rank(ranks) > 0 || (gate.waits == 1 && record.saved_count == 1), "waited for");
    ranks_assert(best_of_both(&record) && exists(config.output, "best.safetensors"), "best of the second epoch");
}
END_TEST

START_TEST(without_room_for_a_copy_the_training_waits)
{
    saver s = {0};
    saver_open(&s, 1 << 20);
    ranks_assert(s.copy == NULL, "no copy");
    saver_close(&s);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("background saves");
    TCase *tests = tcase_create("background saves");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, set_up, runs_remove_folders);
    tcase_add_test(tests, steps_go_on_meanwhile);
    tcase_add_loop_test(tests, what_follows_waits, 0, 2);
    tcase_add_test(tests, a_failure_costs_that_checkpoint_alone);
    tcase_add_test(tests, the_best_is_the_best_that_is_saved);
    tcase_add_test(tests, without_room_for_a_copy_the_training_waits);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

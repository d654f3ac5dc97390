/* Where nothing is to be timed, two runs make the same choices and end in the same bits. */
#include <stdio.h>
#include <string.h>

#include "train/runs.h"
#include "vgg11/base/log.h"

enum { STEPS = 2, REASON_BYTES = 512 };

static void note_exchange(void *context, const run_start_event *event) { snprintf(context, REASON_BYTES, "%s", event->exchange); }

static const char *run_once(char reason[REASON_BYTES])
{
    run_observer observer = {.context = reason, .start = note_exchange};
    train_config config = runs_config(24, 8);
    reason[0] = '\0';
    config.step.exchange.name = "auto";
    config.max_steps = STEPS;
    config.output = runs_fresh_folder();
    config.checkpoint_every = config.epochs;
    config.observers = &observer;
    config.observer_count = 1;
    runs_expect(&config, VGG_OK, "without tuning");
    return config.output;
}

START_TEST(two_runs_end_in_the_same_bits)
{
    char reasons[2][REASON_BYTES];
    const char *one = run_once(reasons[0]), *other = run_once(reasons[1]);
    bool first = comm_rank(ranks) == 0;
    ranks_assert(!first || strcmp(reasons[0], "node (first that opens; not timed)") == 0, reasons[0]);
    ranks_assert(!first || strcmp(reasons[0], reasons[1]) == 0, reasons[1]);
    ranks_assert(!first || runs_same_file(one, other, STEPS), "files at the end");
}
END_TEST

static void be_quiet(void) { vgg_log_configure(VGG_LOG_ERROR, comm_rank(ranks) == 0); }

static Suite *make_suite(void)
{
    Suite *suite = suite_create("no tune");
    TCase *tests = tcase_create("no tune");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, be_quiet, runs_remove_folders);
    tcase_add_test(tests, two_runs_end_in_the_same_bits);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

/* Memory that runs out on one rank alone while a run starts, goes on from a checkpoint, takes a step and evaluates. VGG11_TEST_STRIDE
 * leaves out all allocations but every so many. */
#include <stdio.h>
#include <stdlib.h>

#include "support/one_rank_memory.h"
#include "train/runs.h"
#include "vgg11/base/log.h"

static int stride = 16;
static const char *saved; /* folder with a checkpoint after the first step */

static train_config config_of(bool resumed)
{
    train_config config = runs_config(4, 2);
    config.max_steps = resumed ? 2 : 1;
    config.resume = resumed ? saved : NULL;
    config.replay_every = 1;
    config.skip_bad_steps = 1;
    config.data.validation = 2;
    return config;
}

static void save_one(void)
{
    vgg_log_configure(VGG_LOG_ERROR, false);
    train_config config = config_of(false);
    config.output = saved = runs_fresh_folder();
    config.checkpoint_steps = 1;
    runs_expect(&config, VGG_OK, "a run to go on from");
}

static vgg_status train(const void *config) { return train_run(ranks, config); }

/* The first rank alone reads the checkpoint. */
static const struct {
    int failing;
    bool resumed;
} cases[] = {{1, false}, {0, true}};

START_TEST(all_hear_of_it)
{
    const train_config config = config_of(cases[_i].resumed);
    const memory_call call = {cases[_i].resumed ? "resume" : "start", train, &config, VGG_OK, true};
    int count = one_rank_memory_walk(&call, cases[_i].failing, _i, stride);
    ranks_assert(count > 20, "it allocates more");
    if (comm_rank(ranks) == 0) printf("%d allocations of rank %d, every %dth\n", count, cases[_i].failing, stride);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("one rank's memory in training");
    TCase *tests = tcase_create("one rank's memory in training");
    const char *asked = getenv("VGG11_TEST_STRIDE");
    if (asked) stride = atoi(asked);
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, save_one, runs_remove_folders);
    tcase_add_loop_test(tests, all_hear_of_it, 0, sizeof cases / sizeof *cases);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

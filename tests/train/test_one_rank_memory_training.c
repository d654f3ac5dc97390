/* Memory that runs out on one rank alone, at each of its allocations in turn while a run starts, goes on from a checkpoint, takes a
 * step and evaluates: all ranks end with the same status, and none waits for the others. VGG11_TEST_STRIDE leaves out all but
 * every so many. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/failing_memory.h"
#include "train/runs.h"
#include "vgg11/base/log.h"

static int stride = 16;
static const char *saved; /* folder with a checkpoint after the first step */
static memory_chains chains;

static train_config config_of(bool resumed)
{
    train_config config = runs_config(4, 2);
    config.max_steps = resumed ? 2 : 1;
    config.resume = resumed ? saved : NULL;
    config.replay_every = 1;
    config.skip_bad_steps = 1;
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

/* Of the second run: what the process allocates once it has by then. The numbers of one rank, which all of them go through. */
static void find_allocations(const train_config *config, int failing)
{
    runs_expect(config, VGG_OK, "with all the memory that it wants");
    chains.count = 0;
    failing_memory_list(&chains);
    vgg_status status = train_run(ranks, config);
    failing_memory_list(NULL);
    ranks_assert(status == VGG_OK, "once more");
    comm_broadcast(ranks, &chains, sizeof chains, failing);
}

static bool fails_alike(const train_config *config, int failing, long number)
{
    failing_memory_fail(comm_rank(ranks) == failing ? number : 0);
    vgg_status status = train_run(ranks, config);
    failing_memory_fail(0);
    return comm_same(ranks, status) && (status == VGG_OK || status == VGG_UNAVAILABLE);
}

/* The first rank alone reads the checkpoint. */
static const struct {
    int failing;
    bool resumed;
} cases[] = {{1, false}, {0, true}};

START_TEST(all_hear_of_it)
{
    const int failing = cases[_i].failing;
    train_config config = config_of(cases[_i].resumed);
    find_allocations(&config, failing);
    ranks_assert(chains.count > 20, "it allocates something");
    for (int i = _i; i < chains.count; i += stride) {
        char when[100];
        snprintf(when, sizeof when, "allocation %ld of rank %d, which says %s", chains.first[i], failing, vgg_message());
        ranks_assert(fails_alike(&config, failing, chains.first[i]), when);
    }
    if (comm_rank(ranks) == 0) printf("%d allocations of rank %d\n", (chains.count - _i + stride - 1) / stride, failing);
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

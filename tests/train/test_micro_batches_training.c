/* With --micro-batches, any number of ranks comes to the same bits, also where a run goes on with more or fewer ranks. The run on one
 * rank leaves its checkpoints in the folder given as argument; the runs on more are held against them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "train/runs.h"
#include "vgg11/base/log.h"
#include "vgg11/nn/model.h"

enum { STEPS = 4, SPLIT = 2 };
static const char *const precisions[] = {[PRECISION_FP32] = "fp32", [PRECISION_BF16] = "bf16"};
enum { PRECISIONS = sizeof precisions / sizeof precisions[0] };
static char kept[PRECISIONS][CHECKPOINT_PATH_MAX]; /* folders of the runs on one rank */

static train_config config_of(vgg_precision which)
{
    train_config config = runs_config(27, 11);
    config.step.network.precision = which;
    config.max_steps = STEPS;
    config.step.exchange.micro_batches = 8;
    config.step.exchange.name = comm_size(ranks) == 2 ? "overlap" : "node";
    return config;
}

/* Not collective. */
static bool same_bits(const char *one_rank, const char *folder)
{
    size_t bytes = model_flat_count() * sizeof(float);
    run_checkpoint one = runs_load(one_rank, STEPS), many = runs_load(folder, STEPS);
    bool same = memcmp(one.weights, many.weights, bytes) == 0 && memcmp(one.velocity, many.velocity, bytes) == 0;
    bool ran_so = one.state.ranks == 1 && many.state.ranks == comm_size(ranks);
    runs_unload(&one);
    runs_unload(&many);
    return same && ran_so;
}

START_TEST(leaves_checkpoints)
{
    train_config config = config_of(_i);
    config.output = kept[_i];
    config.checkpoint_steps = SPLIT;
    runs_expect(&config, VGG_OK, "one rank");
}
END_TEST

static void run_and_compare(vgg_precision which, const char *resume)
{
    train_config config = config_of(which);
    config.resume = resume;
    config.output = runs_fresh_folder();
    config.checkpoint_every = config.epochs;
    runs_expect(&config, VGG_OK, "several ranks");
    ranks_assert(comm_rank(ranks) > 0 || same_bits(kept[which], config.output), "the bits of the run on one rank");
}

START_TEST(ends_in_the_same_bits) { run_and_compare(_i, NULL); }
END_TEST

START_TEST(goes_on_to_the_same_bits)
{
    char path[CHECKPOINT_PATH_MAX];
    checkpoint_path(kept[_i], SPLIT, path);
    run_and_compare(_i, path);
}
END_TEST

static Suite *make_suite(void)
{
    vgg_log_configure(VGG_LOG_ERROR, comm_rank(ranks) == 0);
    Suite *suite = suite_create("micro_batches_training");
    TCase *tests = tcase_create("micro_batches_training");
    tcase_set_timeout(tests, 0);
    tcase_add_checked_fixture(tests, NULL, runs_remove_folders);
    if (comm_size(ranks) == 1) {
        tcase_add_loop_test(tests, leaves_checkpoints, 0, PRECISIONS);
    } else {
        tcase_add_loop_test(tests, ends_in_the_same_bits, 0, PRECISIONS);
        tcase_add_loop_test(tests, goes_on_to_the_same_bits, 0, PRECISIONS);
    }
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return EXIT_FAILURE;
    }
    mkdir(argv[1], 0755);
    for (int i = 0; i < PRECISIONS; i++) {
        snprintf(kept[i], sizeof kept[i], "%s/%s", argv[1], precisions[i]);
        mkdir(kept[i], 0755);
    }
    return ranks_main(argc, argv, make_suite);
}

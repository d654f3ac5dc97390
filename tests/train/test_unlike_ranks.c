/* Ranks of unlike processors and with unlike numbers of threads: they start, run, save and go on like any others. What one of them
 * cannot have, none keeps; what one of them alone knows, decides nothing. A rank that goes its own way waits for the others for ever. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/runs.h"
#include "vgg11/base/cpu.h"
#include "vgg11/base/log.h"
#include "vgg11/nn/model.h"
#include "vgg11/train/step.h"

enum { STEPS = 2, FROM = 1, IMAGES = 8 };

/* By rank, in turns: all that this processor has, and less. */
static const char *const levels[] = {NULL, "portable", "avx2"};

static bool unlike; /* processors: without vector extensions there is no lower level */

static int rank_of(void) { return comm_rank(ranks); }

/* What a rank has opened. Not the pointers: whether there are any. */
typedef struct {
    bool factors;
    bool common;
} holding;

static void expect_holding(const training_step *step, bool expected)
{
    holding mine = {step->f != NULL, exchange_node_scratch(step->ex) != NULL};
    ranks_assert(mine.factors == expected, expected ? "factors on every rank" : "factors on no rank");
    ranks_assert(mine.common == expected, expected ? "common memory on every rank" : "common memory on no rank");
}

/* Opens what a step needs, where the last rank has `last` images in place of IMAGES. */
static void open_and_expect(vgg_precision precision, size_t last, bool expected)
{
    training_step step;
    training_step_config config = {.factors = true,
                                   .network = {.precision = precision, .threads = 1},
                                   .batch_size = rank_of() + 1 == comm_size(ranks) ? last : IMAGES,
                                   .exchange = {.name = "node"}};
    ranks_assert(training_step_open_exchange(ranks, &config, &step) == VGG_OK, vgg_message());
    expect_holding(&step, expected);
    training_step_close(&step);
}

START_TEST(what_one_processor_lacks_nobody_keeps)
{
    ranks_assert(unlike == comm_any(ranks, cpu_detect()->avx2), "unlike processors");
    open_and_expect(PRECISION_FP32, IMAGES, !unlike);
    open_and_expect(PRECISION_BF16, IMAGES, false);
}
END_TEST

/* The last rank's set is too large to be worth it, or laid out otherwise: on any processor. */
START_TEST(what_one_rank_declines_nobody_keeps)
{
    open_and_expect(PRECISION_FP32, (size_t)1 << 20, false);
    open_and_expect(PRECISION_FP32, IMAGES + 1, false);
}
END_TEST

static double agree_largest(void *context, double value)
{
    (void)context;
    return comm_max(ranks, value);
}

/* What is expected to be fastest differs between processors; a checkpoint has one line for all ranks. */
START_TEST(what_one_processor_lacks_nobody_takes)
{
    char algorithms[CONV_CHOICES_TEXT_MAX] = "";
    network_config config = {
        .batch_capacity = 2, .threads = 1, .precision = PRECISION_BF16, .training = true, .agreement = {NULL, agree_largest}};
    network *net;
    vgg_status status = network_create(&config, &net);
    if (status == VGG_OK) network_algorithms(net, algorithms);
    network_destroy(net);
    ranks_assert(status == VGG_OK, vgg_message());
    ranks_assert(comm_agree_text(ranks, "algorithms", algorithms) == VGG_OK, vgg_message());
}
END_TEST

static train_config config_of(vgg_precision precision, bool tune)
{
    train_config config = runs_config(STEPS * IMAGES, IMAGES);
    config.step.network.precision = precision;
    config.step.network.tune = config.step.exchange.tune = tune;
    config.step.network.threads = config.optimizer.threads = 1 + rank_of() % 2;
    config.step.exchange.name = "auto";
    config.max_steps = STEPS;
    config.output = runs_fresh_folder();
    config.checkpoint_steps = 1;
    return config;
}

/* Not collective: of the checkpoint after step FROM. */
static bool setting_says(const char *folder, const char *word)
{
    run_checkpoint checkpoint = runs_load(folder, FROM);
    bool says = strstr(checkpoint.state.tuning_fingerprint, word) != NULL;
    if (!says) fprintf(stderr, "%s: no %s\n", checkpoint.state.tuning_fingerprint, word);
    runs_unload(&checkpoint);
    return says;
}

/* Timing would not choose the same twice: what a resumed run has is the checkpoint's. Only the first rank keeps timings. */
static const struct {
    vgg_precision precision;
    bool tune;
} kinds[] = {{PRECISION_FP32, false}, {PRECISION_BF16, false}, {PRECISION_FP32, true}};

START_TEST(goes_on_to_the_same_bits)
{
    bool first = rank_of() == 0;
    char start[CHECKPOINT_PATH_MAX], cache[CHECKPOINT_PATH_MAX];
    train_config config = config_of(kinds[_i].precision, kinds[_i].tune);
    snprintf(cache, sizeof cache, "%s/plans.tsv", config.output);
    config.step.network.plan_cache = first ? cache : NULL;
    runs_expect(&config, VGG_OK, "from the start");
    ranks_assert(!first || setting_says(config.output, " threads=1@0,2@1"), "threads of all ranks");
    ranks_assert(!first || !unlike || setting_says(config.output, "@0,portable@1"), "processors of all ranks");
    checkpoint_path(config.output, FROM, start);
    train_config again = config_of(kinds[_i].precision, kinds[_i].tune);
    again.resume = start;
    runs_expect(&again, VGG_OK, "resumed");
    ranks_assert(!first || runs_same_file(config.output, again.output, STEPS), "the same bits");
}
END_TEST

/* Rank 0 finds its own threads as before, and only the last rank's are others. */
START_TEST(goes_on_where_one_rank_has_changed)
{
    char start[CHECKPOINT_PATH_MAX];
    train_config config = config_of(PRECISION_FP32, false);
    runs_expect(&config, VGG_OK, "from the start");
    checkpoint_path(config.output, FROM, start);
    for (int tune = 0; tune < 2; tune++) {
        train_config again = config_of(PRECISION_FP32, tune == 1);
        again.resume = start;
        if (rank_of() + 1 == comm_size(ranks)) again.step.network.threads = again.optimizer.threads = 3;
        runs_expect(&again, VGG_OK, "resumed with other threads");
    }
}
END_TEST

/* What the last rank has left; 0: what it really has. */
static size_t memory_left, address_space_left;

size_t __real_cpu_memory_available_bytes(void);
size_t __wrap_cpu_memory_available_bytes(void);
size_t __wrap_cpu_memory_available_bytes(void) { return memory_left ? memory_left : __real_cpu_memory_available_bytes(); }

size_t __real_cpu_address_space_left_bytes(void);
size_t __wrap_cpu_address_space_left_bytes(void);
size_t __wrap_cpu_address_space_left_bytes(void)
{
    return address_space_left ? address_space_left : __real_cpu_address_space_left_bytes();
}

START_TEST(nobody_starts_where_one_rank_lacks_memory)
{
    train_config config = config_of(PRECISION_FP32, false);
    size_t *const lacking[] = {&memory_left, &address_space_left};
    for (int i = 0; i < 2; i++) {
        if (rank_of() + 1 == comm_size(ranks)) *lacking[i] = 1 << 20;
        runs_expect(&config, VGG_UNAVAILABLE, "one rank lacks memory");
        *lacking[i] = 0;
    }
}
END_TEST

/* Before anybody looks at the processor. */
static void take_level(const char *level)
{
    if (level)
        setenv("VGG11_CPU", level, 1);
    else
        unsetenv("VGG11_CPU");
}

static Suite *make_suite(void)
{
    Suite *suite = suite_create("unlike ranks");
    TCase *tests = tcase_create("unlike ranks");
    take_level(levels[(size_t)rank_of() % (sizeof levels / sizeof *levels)]);
    unlike = !comm_same(ranks, cpu_detect()->avx2);
    vgg_log_configure(VGG_LOG_ERROR, rank_of() == 0);
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, NULL, runs_remove_folders);
    tcase_add_test(tests, what_one_processor_lacks_nobody_keeps);
    tcase_add_test(tests, what_one_rank_declines_nobody_keeps);
    tcase_add_test(tests, what_one_processor_lacks_nobody_takes);
    tcase_add_loop_test(tests, goes_on_to_the_same_bits, 0, sizeof kinds / sizeof kinds[0]);
    tcase_add_test(tests, goes_on_where_one_rank_has_changed);
    tcase_add_test(tests, nobody_starts_where_one_rank_lacks_memory);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

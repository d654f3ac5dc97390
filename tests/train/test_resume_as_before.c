/* A resumed run takes the exchange and the algorithms that its checkpoint was made with, whatever would be chosen today; what a
 * checkpoint says of them is not trusted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/runs.h"
#include "vgg11/base/log.h"
#include "vgg11/nn/model.h"

enum { STEPS = 3, FROM = 2 };

static train_config config_of(void)
{
    train_config config = runs_config(24, 8);
    config.max_steps = STEPS;
    config.output = runs_fresh_folder();
    config.checkpoint_steps = 1;
    config.step.factors = false; /* as where an algorithm is named */
    return config;
}

/* Not collective. Loads the checkpoint after step FROM, changes what it says of its run, and saves it again. */
static void change_record(const char *folder, void (*change)(checkpoint_state *state))
{
    char path[CHECKPOINT_PATH_MAX];
    run_checkpoint checkpoint = runs_load(folder, FROM);
    change(&checkpoint.state);
    checkpoint_path(folder, FROM, path);
    runs_require(checkpoint_save(path, &checkpoint.state, checkpoint.weights, checkpoint.velocity, NULL) == VGG_OK, vgg_message());
    runs_unload(&checkpoint);
}

/* As if its algorithms had been chosen by timing, not by a name. */
static void forget_name(checkpoint_state *state)
{
    char *name = strstr(state->tuning_fingerprint, "conv="), *rest = name ? strchr(name, ' ') : NULL, *changed = NULL;
    runs_require(rest != NULL, state->tuning_fingerprint);
    runs_require(asprintf(&changed, "%.*sconv=auto%s", (int)(name - state->tuning_fingerprint), state->tuning_fingerprint, rest) >
                     0,
                 "no memory");
    free(state->tuning_fingerprint);
    state->tuning_fingerprint = changed;
}

static void say_nonsense(checkpoint_state *state)
{
    enum { LONG = 3 * CONV_CHOICES_TEXT_MAX };
    free(state->exchange);
    free(state->algorithms);
    state->exchange = strdup("auto, %s%n");
    state->algorithms = calloc(1, LONG);
    runs_require(state->exchange && state->algorithms, "no memory");
    memset(state->algorithms, ':', LONG - 1);
}

/* Not collective. */
static bool same_state(const char *folder, const char *other)
{
    run_checkpoint a = runs_load(folder, STEPS), b = runs_load(other, STEPS);
    size_t bytes = model_flat_count() * sizeof *a.weights;
    bool same = strcmp(a.state.exchange, b.state.exchange) == 0 && strcmp(a.state.algorithms, b.state.algorithms) == 0 &&
                memcmp(a.weights, b.weights, bytes) == 0 && memcmp(a.velocity, b.velocity, bytes) == 0;
    runs_unload(&a);
    runs_unload(&b);
    return same;
}

/* On five ranks an all-reduce sums in another order than the shared buffers do, and im2col rounds otherwise than what is expected
 * to be fastest: chosen afresh, they would end in other bits. What `overlap` sums does not depend on its buckets. Ranks need not have
 * as many threads as the first. */
static const struct {
    const char *conv, *exchange;
    int bucket_mib;
    bool unlike_threads;
} kinds[] = {{"im2col", "allreduce", 0, true}, {"winograd", "node", 0, false}, {"direct", "overlap", 3, false}};

START_TEST(goes_on_with_what_the_checkpoint_used)
{
    char start[CHECKPOINT_PATH_MAX];
    bool first = comm_rank(ranks) == 0;
    train_config config = config_of();
    config.step.exchange.name = kinds[_i].exchange;
    config.step.exchange.bucket_mib = kinds[_i].bucket_mib;
    config.step.network.conv = kinds[_i].conv;
    if (kinds[_i].unlike_threads) config.step.network.threads = config.optimizer.threads = 1 + comm_rank(ranks) % 2;
    runs_expect(&config, VGG_OK, "named");
    if (first) change_record(config.output, forget_name);
    checkpoint_path(config.output, FROM, start);
    train_config again = config_of();
    again.step.exchange.name = "auto";
    again.step.network.threads = again.optimizer.threads = config.step.network.threads;
    again.resume = start;
    runs_expect(&again, VGG_OK, "left open");
    ranks_assert(!first || same_state(config.output, again.output), "exchange, algorithms and bits as before");
}
END_TEST

START_TEST(nonsense_is_passed_over)
{
    train_config config = config_of();
    runs_expect(&config, VGG_OK, "from the start");
    if (comm_rank(ranks) == 0) change_record(config.output, say_nonsense);
    char start[CHECKPOINT_PATH_MAX];
    checkpoint_path(config.output, FROM, start);
    config.resume = start;
    config.step.exchange.name = "auto";
    runs_expect(&config, VGG_OK, "chosen afresh");
}
END_TEST

static void be_quiet(void) { vgg_log_configure(VGG_LOG_ERROR, comm_rank(ranks) == 0); }

static Suite *make_suite(void)
{
    Suite *suite = suite_create("resume as before");
    TCase *tests = tcase_create("resume as before");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, be_quiet, runs_remove_folders);
    tcase_add_loop_test(tests, goes_on_with_what_the_checkpoint_used, 0, sizeof kinds / sizeof kinds[0]);
    tcase_add_test(tests, nonsense_is_passed_over);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

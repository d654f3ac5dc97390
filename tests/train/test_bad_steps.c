/* Steps in which a number is not finite change no bit of weights and velocity, on any rank; too many of them in a row take the run back to
 * its newest checkpoint, once. The linker puts functions of this file around some that a step calls (see CMakeLists.txt), so that such
 * a number appears on the last rank alone, at a known moment. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/runs.h"
#include "vgg11/base/hash.h"
#include "vgg11/base/log.h"
#include "vgg11/nn/loss.h"
#include "vgg11/nn/model.h"

/* 5 steps an epoch: the last has less images. */
enum { SAMPLES = 36, BATCH = 8, STEPS = 6, SAVED = 3, BEGUN_MAX = 32 };

typedef enum { IN_LOSS, IN_GRADIENT, IN_NORM, IN_FACTOR, IN_WEIGHTS, PLACES } place;

/* Steps first .. last of those begun, counted from 1, get one there. */
static struct {
    place where;
    int first, last;
} plant;
static int begun;
static uint64_t hashes[BEGUN_MAX]; /* of weights and velocity before step i + 1 */

static bool is_now(place where)
{
    bool now = plant.where == where && begun >= plant.first && begun <= plant.last;
    return now && comm_rank(ranks) == comm_size(ranks) - 1;
}

static uint64_t hash_state(exchange *ex)
{
    size_t bytes = model_flat_count() * sizeof(float);
    uint64_t both[2] = {hash_bits(exchange_weights(ex), bytes), hash_bits(exchange_velocity(ex), bytes)};
    return hash_bits(both, sizeof both);
}

void __real_exchange_begin(exchange *ex);
void __wrap_exchange_begin(exchange *ex);
void __wrap_exchange_begin(exchange *ex)
{
    if (begun < BEGUN_MAX) hashes[begun] = hash_state(ex);
    begun++;
    __real_exchange_begin(ex);
}

/* Before plans take the weights up; in the last layer, whose output no ReLU makes a zero of. */
void __real_exchange_publish(exchange *ex);
void __wrap_exchange_publish(exchange *ex);
void __wrap_exchange_publish(exchange *ex)
{
    __real_exchange_publish(ex);
    if (plant.where == IN_WEIGHTS && begun + 1 == plant.first)
        exchange_weights(ex)[model_tensors()[MODEL_TENSORS - 2].offset] = NAN;
    comm_barrier(ranks); /* ranks may share the weights */
}

loss_result __real_training_step_forward_backward(training_step *step, int index);
loss_result __wrap_training_step_forward_backward(training_step *step, int index);
loss_result __wrap_training_step_forward_backward(training_step *step, int index)
{
    loss_result loss = __real_training_step_forward_backward(step, index);
    if (is_now(IN_LOSS)) loss.loss_sum = NAN;
    return loss;
}

__typeof__(loss_softmax_cross_entropy) __real_loss_softmax_cross_entropy, __wrap_loss_softmax_cross_entropy;
loss_result __wrap_loss_softmax_cross_entropy(const float *logits, const uint8_t *labels, int n, double smoothing, float scale,
                                              float *dlogits)
{
    loss_result loss = __real_loss_softmax_cross_entropy(logits, labels, n, smoothing, scale, dlogits);
    if (dlogits && n > 0 && is_now(IN_GRADIENT)) dlogits[3] = INFINITY;
    return loss;
}

void __real_optimizer_clip(const optimizer_config *config, const double square_sums[MODEL_TENSORS], clip_result *result);
void __wrap_optimizer_clip(const optimizer_config *config, const double square_sums[MODEL_TENSORS], clip_result *result);
void __wrap_optimizer_clip(const optimizer_config *config, const double square_sums[MODEL_TENSORS], clip_result *result)
{
    __real_optimizer_clip(config, square_sums, result);
    if (is_now(IN_NORM)) result->norm = INFINITY;
    if (is_now(IN_FACTOR)) result->scale[7] = NAN;
}

static train_config config_of(const char *name, uint64_t skip_bad_steps)
{
    train_config config = runs_config(SAMPLES, BATCH);
    config.step.exchange.name = name;
    config.max_steps = STEPS;
    config.checkpoint_steps = SAVED;
    config.skip_bad_steps = skip_bad_steps;
    config.check_every = 2;
    config.output = runs_fresh_folder();
    return config;
}

static void run_with(train_config *config, place where, int first, int last, run_record *record, vgg_status expected)
{
    begun = 0;
    plant.where = where;
    plant.first = first;
    plant.last = last;
    runs_expect_recorded(*config, record, expected, config->step.exchange.name);
    plant.where = PLACES;
}

static bool ends_alike(const train_config *config, const train_config *other)
{
    return comm_rank(ranks) > 0 || runs_same_file(config->output, other->output, config->max_steps);
}

static const char *const exchanges[] = {"node", "overlap", "allreduce"};
enum { EXCHANGES = sizeof exchanges / sizeof exchanges[0] };

static bool skipped_the_second(const run_record *record)
{
    return comm_rank(ranks) > 0 || (record->step_count >= 2 && record->steps[0].step == 1 && record->steps[1].step == 3 &&
                                    record->skip_count == 1 && record->skips[0].step == 2 && record->skips[0].in_row == 1);
}

static void assert_changes_nothing(train_config *config, place where)
{
    run_record record;
    config->max_steps = 4;
    config->checkpoint_steps = 4;
    run_with(config, where, 2, 2, &record, VGG_OK);
    ranks_assert(skipped_the_second(&record), "the second step is skipped, and no other");
    ranks_assert(hashes[1] == hashes[2], "no bit changes in it");
    ranks_assert(hashes[0] != hashes[1] && hashes[2] != hashes[3], "the other steps change some");
}

/* Wherever it was, and then the step is none on all ranks: all those runs end in the same bits. */
START_TEST(a_bad_step_changes_nothing)
{
    train_config first = config_of(exchanges[_i], 1);
    assert_changes_nothing(&first, IN_LOSS);
    for (place where = IN_GRADIENT; where <= (_i == 0 ? IN_FACTOR : IN_GRADIENT); where++) {
        train_config config = config_of(exchanges[_i], 1);
        assert_changes_nothing(&config, where);
        ranks_assert(ends_alike(&config, &first), "the same end, wherever it was");
    }
}
END_TEST

/* Which no sum of images does for two numbers of ranks; here two exchanges stand for them. */
START_TEST(micro_batches_keep_their_bits)
{
    if (comm_size(ranks) == 3) return;
    train_config first = config_of(exchanges[0], 1), second = config_of(exchanges[1], 1);
    first.step.exchange.micro_batches = second.step.exchange.micro_batches = 4;
    run_record record;
    run_with(&first, IN_GRADIENT, 2, 2, &record, VGG_OK);
    ranks_assert(skipped_the_second(&record), "the second step is skipped, and no other");
    run_with(&second, IN_LOSS, 2, 2, &record, VGG_OK);
    if (comm_rank(ranks) > 0) return;
    run_checkpoint a = runs_load(first.output, STEPS), b = runs_load(second.output, STEPS);
    size_t bytes = model_flat_count() * sizeof(float);
    runs_require(memcmp(a.weights, b.weights, bytes) == 0 && memcmp(a.velocity, b.velocity, bytes) == 0, "the same bits");
    runs_unload(&a);
    runs_unload(&b);
}
END_TEST

START_TEST(a_run_that_goes_on_skips_as_before)
{
    run_record record;
    train_config straight = config_of("node", 1), stopped = config_of("node", 1);
    run_with(&straight, IN_GRADIENT, 2, 2, &record, VGG_OK);
    stopped.max_steps = 3;
    run_with(&stopped, IN_GRADIENT, 2, 2, &record, VGG_OK);
    stopped.max_steps = STEPS;
    stopped.resume = stopped.output;
    run_with(&stopped, PLACES, 0, 0, &record, VGG_OK);
    ranks_assert(ends_alike(&stopped, &straight), "files at the end");
}
END_TEST

static bool went_back(const run_record *record, uint64_t from_step, int skipped)
{
    return comm_rank(ranks) > 0 || (record->rollback_count == 1 && record->rollback.step == SAVED &&
                                    record->rollback.from_step == from_step && record->skip_count == skipped);
}

static const struct {
    place where;
    const char *exchange;
    int first, last; /* of the steps begun */
    uint64_t every;  /* steps between checkpoints */
    uint64_t skips;  /* --skip-bad-steps */
    uint64_t from;   /* steps done before it went back */
    int skipped;
} passing[] = {
    {IN_GRADIENT, "node", 4, 5, SAVED, 1, 4, 1},
    {IN_FACTOR, "allreduce", 4, 6, SAVED, 2, 5, 2},
    {IN_WEIGHTS, "node", 5, 5, SAVED, 1, 5, 1},  /* which the evaluation after the fifth step finds */
    {IN_WEIGHTS, "allreduce", 5, 5, 1, 5, 4, 0}, /* and the checkpoint after the fourth */
};

/* As the fault does not come again, the run ends as if it had not been. */
START_TEST(too_many_go_back_to_the_checkpoint)
{
    run_record record;
    train_config sound = config_of(passing[_i].exchange, 0), config = config_of(passing[_i].exchange, passing[_i].skips);
    config.checkpoint_steps = passing[_i].every;
    config.check_every = 0;
    run_with(&sound, PLACES, 0, 0, &record, VGG_OK);
    run_with(&config, passing[_i].where, passing[_i].first, passing[_i].last, &record, VGG_OK);
    ranks_assert(went_back(&record, passing[_i].from, passing[_i].skipped), "back to the newest checkpoint");
    ranks_assert(ends_alike(&config, &sound), "files at the end");
}
END_TEST

START_TEST(a_fault_that_stays_ends_the_run)
{
    run_record record;
    train_config config = config_of("node", 1);
    run_with(&config, IN_GRADIENT, 4, BEGUN_MAX, &record, VGG_DIVERGED);
    ranks_assert(went_back(&record, SAVED + 1, 2), "once");
    ranks_assert(strstr(vgg_message(), "at step 5") && strstr(vgg_message(), "rate was 0.001"), vgg_message());
    ranks_assert(strstr(vgg_message(), "began in the gradient of fc4.bias; lower --lr") != NULL, vgg_message());
}
END_TEST

START_TEST(without_a_checkpoint_there_is_no_way_back)
{
    run_record record;
    train_config config = config_of("node", 1);
    config.checkpoint_steps = 0;
    run_with(&config, IN_NORM, 2, 3, &record, VGG_DIVERGED);
    ranks_assert(strstr(vgg_message(), "at step 3, after as many such steps as --skip-bad-steps allows") != NULL, vgg_message());
    ranks_assert(comm_rank(ranks) > 0 || (record.rollback_count == 0 && record.skip_count == 1), "skipped once, not gone back");
}
END_TEST

/* What the message says of where it began. */
static const struct {
    place where;
    const char *said;
} origins[] = {{IN_LOSS, "the learning rate was 0.001; lower --lr"},
               {IN_GRADIENT, "the learning rate was 0.001, and numbers that are not finite began in the gradient of fc4.bias;"},
               {IN_WEIGHTS, "began in the weights fc4.kernel;"}};
enum { ORIGINS = sizeof origins / sizeof origins[0] };

START_TEST(by_default_the_first_ends_the_run)
{
    run_record record;
    train_config config = config_of("node", 0);
    run_with(&config, origins[_i].where, 2, BEGUN_MAX, &record, VGG_DIVERGED);
    ranks_assert(strstr(vgg_message(), "at step 2;") && strstr(vgg_message(), origins[_i].said), vgg_message());
    ranks_assert(comm_rank(ranks) > 0 || (record.step_count == 1 && record.skip_count == 0), "after one step");
}
END_TEST

static void be_quiet(void) { vgg_log_configure(VGG_LOG_ERROR, comm_rank(ranks) == 0); }

static Suite *make_suite(void)
{
    Suite *suite = suite_create("bad steps");
    TCase *tests = tcase_create("bad steps");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, be_quiet, NULL);
    tcase_add_checked_fixture(tests, NULL, runs_remove_folders);
    tcase_add_loop_test(tests, a_bad_step_changes_nothing, 0, EXCHANGES);
    tcase_add_test(tests, micro_batches_keep_their_bits);
    tcase_add_test(tests, a_run_that_goes_on_skips_as_before);
    tcase_add_loop_test(tests, too_many_go_back_to_the_checkpoint, 0, sizeof passing / sizeof passing[0]);
    tcase_add_test(tests, a_fault_that_stays_ends_the_run);
    tcase_add_test(tests, without_a_checkpoint_there_is_no_way_back);
    tcase_add_loop_test(tests, by_default_the_first_ends_the_run, 0, ORIGINS);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

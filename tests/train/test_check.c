/* Bits that flip in a rank's memory while it trains are reported on all ranks, as often as is promised, and before they are saved.
 * The linker puts functions of this file around some that the trainer calls (see CMakeLists.txt), so that bits flip in its own
 * buffers, at a known moment. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nn/network_impl.h"
#include "train/runs.h"
#include "vgg11/base/log.h"
#include "vgg11/train/evaluate.h"

/* 3 steps in one epoch. */
enum { SAMPLES = 24, BATCH = 8, STEPS = 3 };

typedef enum { NEVER, IN_STEP, AFTER_UPDATE, IN_EVALUATION, IN_OWN_COPY, IN_NORM } moment;
typedef enum { WEIGHTS, VELOCITY } victim;

/* On the last rank, in step `step` (1 for the first). */
static struct {
    moment when;
    int step;
    victim buffer;
} flip;
static exchange *current;
static int steps_begun;

static bool is_now(moment when)
{
    return flip.when == when && steps_begun == flip.step && comm_rank(ranks) == comm_size(ranks) - 1;
}

/* High in the mantissa, so that no later rounding hides it. */
static void flip_bit(float *number)
{
    uint32_t bits;
    memcpy(&bits, number, sizeof bits);
    bits ^= UINT32_C(1) << 20;
    memcpy(number, &bits, sizeof bits);
}

/* In the last layer's bias, which every sample moves. */
static void flip_in_buffer(void)
{
    float *buffer = flip.buffer == WEIGHTS ? exchange_weights(current) : exchange_velocity(current);
    flip_bit(buffer + model_tensors()[MODEL_TENSORS - 1].offset);
}

void __real_exchange_begin(exchange *ex);
void __wrap_exchange_begin(exchange *ex);
void __wrap_exchange_begin(exchange *ex)
{
    current = ex;
    steps_begun++;
    if (is_now(IN_STEP)) flip_in_buffer();
    __real_exchange_begin(ex);
}

void __real_exchange_publish(exchange *ex);
void __wrap_exchange_publish(exchange *ex);
void __wrap_exchange_publish(exchange *ex)
{
    __real_exchange_publish(ex);
    if (is_now(AFTER_UPDATE)) flip_in_buffer();
}

__typeof__(evaluate_run) __real_evaluate_run, __wrap_evaluate_run;
vgg_status __wrap_evaluate_run(comm *c, network *net, const float *weights, const dataset *set, const normalization *table,
                               uint32_t batch, evaluation *result)
{
    vgg_status status = __real_evaluate_run(c, net, weights, set, table, batch, result);
    if (is_now(IN_EVALUATION)) flip_in_buffer();
    return status;
}

const float *__real_network_forward(network *net, const float *weights, int n);
const float *__wrap_network_forward(network *net, const float *weights, int n);
const float *__wrap_network_forward(network *net, const float *weights, int n)
{
    if (is_now(IN_OWN_COPY)) flip_bit(net->choices[MODEL_LAYERS - 1][CONV_FORWARD].plan.packed);
    return __real_network_forward(net, weights, n);
}

void __real_optimizer_clip(const optimizer_config *config, const double square_sums[MODEL_TENSORS], clip_result *result);
void __wrap_optimizer_clip(const optimizer_config *config, const double square_sums[MODEL_TENSORS], clip_result *result);
void __wrap_optimizer_clip(const optimizer_config *config, const double square_sums[MODEL_TENSORS], clip_result *result)
{
    __real_optimizer_clip(config, square_sums, result);
    if (is_now(IN_NORM)) result->scale[0] = nextafterf(result->scale[0], 0);
}

static train_config config_of(const char *name)
{
    train_config config = runs_config(SAMPLES, BATCH);
    config.epochs = 1;
    config.step.exchange.name = name;
    config.check_every = 0;
    return config;
}

/* Does another rank or node have what the last rank has? */
static bool has_other_copies(const char *name)
{
    return comm_size(ranks) > 1 && (strcmp(name, "node") != 0 || comm_node_count(ranks) > 1);
}

/* A copy a node, and a copy a rank: test_replica.c has all strategies. */
static const char *const exchanges[] = {"node", "allreduce"};
enum { EXCHANGES = sizeof exchanges / sizeof exchanges[0] };

/* What a run shows of a flipped bit. */
typedef struct {
    moment when;
    victim buffer;
    uint32_t check_every;
    uint64_t checkpoint_steps;
    uint32_t checkpoint_every;
    bool by_comparison; /* seen only where another copy is */
    int steps, evals;   /* that are told until then */
    const char *said;
} flip_case;

/* Each promise has its case: in the step after a look, after so many steps, before a checkpoint, before and after an evaluation.
 * What has flipped in velocity is in the weights a step later. */
static const flip_case cases[] = {
    {IN_STEP, WEIGHTS, 1, 0, 0, false, 1, 0, "weights"},       {IN_STEP, VELOCITY, 1, 0, 0, false, 1, 0, "velocity"},
    {AFTER_UPDATE, WEIGHTS, 2, 0, 0, true, 2, 0, "weights"},   {AFTER_UPDATE, VELOCITY, 2, 0, 0, true, 2, 0, "weights"},
    {AFTER_UPDATE, VELOCITY, 0, 1, 0, true, 1, 0, "velocity"}, {AFTER_UPDATE, WEIGHTS, 0, 0, 0, true, 3, 0, "weights"},
    {IN_EVALUATION, WEIGHTS, 0, 0, 1, false, 3, 1, "weights"},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static int step_of(moment when) { return when == IN_STEP ? 2 : when == IN_EVALUATION ? STEPS : 1; }

static void run_with(train_config *config, moment when, int step, victim buffer, run_record *record, vgg_status expected)
{
    steps_begun = 0;
    flip.when = when;
    flip.step = step;
    flip.buffer = buffer;
    runs_expect_recorded(*config, record, expected, config->step.exchange.name);
    flip.when = NEVER;
}

/* Rank 0 was told of so many steps and evaluations, and nothing was saved that is not sound. */
static bool told(const run_record *record, const flip_case *one)
{
    return comm_rank(ranks) > 0 ||
           (record->step_count == one->steps && record->eval_count == one->evals && record->saved_count == 0);
}

START_TEST(a_flipped_bit_is_reported)
{
    const flip_case *one = &cases[_i / EXCHANGES];
    const char *name = exchanges[_i % EXCHANGES];
    if (one->by_comparison && !has_other_copies(name)) return;
    run_record record;
    char path[CHECKPOINT_PATH_MAX];
    train_config config = config_of(name);
    config.output = runs_fresh_folder();
    config.check_every = one->check_every;
    config.checkpoint_steps = one->checkpoint_steps;
    config.checkpoint_every = one->checkpoint_every;
    run_with(&config, one->when, step_of(one->when), one->buffer, &record, VGG_DISAGREE);
    ranks_assert(strstr(vgg_message(), one->said) != NULL, vgg_message());
    ranks_assert(told(&record, one), "found when it is promised");
    checkpoint_path(config.output, (uint64_t)one->steps, path);
    ranks_assert(access(path, F_OK) != 0, "not saved");
}
END_TEST

START_TEST(a_rank_that_computes_with_other_weights_is_named)
{
    run_record record;
    char named[32];
    train_config config = config_of("allreduce");
    config.step.network.precision = PRECISION_BF16;
    config.step.network.conv = "bf16-portable";
    config.check_every = 1;
    run_with(&config, IN_OWN_COPY, 2, WEIGHTS, &record, VGG_DISAGREE);
    snprintf(named, sizeof named, "rank %d ", comm_size(ranks) - 1);
    ranks_assert(strstr(vgg_message(), named) && strstr(vgg_message(), "fc4"), vgg_message());
    ranks_assert(comm_rank(ranks) > 0 || record.step_count == 1, "found before the update");
}
END_TEST

/* Each rank updates a part, so that nothing else shows it. */
START_TEST(a_rank_that_scales_otherwise_is_found)
{
    if (comm_size(ranks) == 1) return;
    run_record record;
    train_config config = config_of("node");
    config.check_every = 2;
    run_with(&config, IN_NORM, 2, WEIGHTS, &record, VGG_DISAGREE);
    ranks_assert(strstr(vgg_message(), "clipping") != NULL, vgg_message());
}
END_TEST

START_TEST(a_sound_run_is_not_disturbed)
{
    run_record record;
    train_config config = config_of(exchanges[_i]);
    config.output = runs_fresh_folder();
    config.check_every = 1;
    config.checkpoint_steps = 1;
    run_with(&config, NEVER, 0, WEIGHTS, &record, VGG_OK);
    ranks_assert(comm_rank(ranks) > 0 || (record.step_count == STEPS && record.saved_count == STEPS), "all steps, all saved");
}
END_TEST

static void be_quiet(void) { vgg_log_configure(VGG_LOG_ERROR, comm_rank(ranks) == 0); }

static Suite *make_suite(void)
{
    Suite *suite = suite_create("check");
    TCase *tests = tcase_create("check");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, be_quiet, NULL);
    tcase_add_checked_fixture(tests, NULL, runs_remove_folders);
    tcase_add_loop_test(tests, a_flipped_bit_is_reported, 0, CASES * EXCHANGES);
    tcase_add_loop_test(tests, a_sound_run_is_not_disturbed, 0, EXCHANGES);
    tcase_add_test(tests, a_rank_that_computes_with_other_weights_is_named);
    tcase_add_test(tests, a_rank_that_scales_otherwise_is_found);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

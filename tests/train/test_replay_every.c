/* A rank whose processor or memory errs once in a step whose micro-batch is computed twice ends the run on all ranks, wherever that was and
 * in whichever of the two passes; and a rank that errs nowhere is never accused. The linker puts functions of this file around some that
 * a pass calls (see CMakeLists.txt), so that a bit flips at a known moment. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "train/runs.h"
#include "vgg11/base/log.h"
#include "vgg11/conv/conv.h"
#include "vgg11/nn/dense_factors.h"
#include "vgg11/nn/loss.h"
#include "vgg11/nn/model.h"

/* 3 steps in one epoch, of which the last has a single image: other ranks than the first have none. */
enum { SAMPLES = 17, BATCH = 8, STEPS = 3, PASSES_MAX = 64 };

typedef enum { NOWHERE, IN_OUTPUT, IN_LOSS, IN_INPUT_GRADIENT, IN_GRADIENT, IN_FACTORS } place;

/* On the last rank, in a pass of step 2, counted from 1. */
static struct {
    place where;
    int pass;
} flip;
static int steps_begun, passes, passes_of_step[PASSES_MAX];

static bool is_now(place where)
{
    return flip.where == where && steps_begun == 2 && passes == flip.pass && comm_rank(ranks) == comm_size(ranks) - 1;
}

/* The highest bit of the exponent, so that no rounding hides what comes of it. */
static void flip_bit(void *number, size_t bytes) { ((unsigned char *)number)[bytes - 1] ^= 0x40; }

void __real_exchange_begin(exchange *ex);
void __wrap_exchange_begin(exchange *ex);
void __wrap_exchange_begin(exchange *ex)
{
    steps_begun++;
    passes = 0;
    __real_exchange_begin(ex);
}

const float *__real_network_forward(network *net, const float *weights, int n);
const float *__wrap_network_forward(network *net, const float *weights, int n);
const float *__wrap_network_forward(network *net, const float *weights, int n)
{
    passes++;
    return __real_network_forward(net, weights, n);
}

static bool is_conv5(const conv_problem *problem) { return problem->in == 256 && problem->out == 512; }

void __real_conv_plan_run(const conv_plan *plan, const conv_arguments *arguments);
void __wrap_conv_plan_run(const conv_plan *plan, const conv_arguments *arguments);
void __wrap_conv_plan_run(const conv_plan *plan, const conv_arguments *arguments)
{
    __real_conv_plan_run(plan, arguments);
    if (!is_conv5(&plan->problem)) return;
    if (plan->pass == CONV_FORWARD && is_now(IN_OUTPUT))
        flip_bit(arguments->y, plan->problem.bf16_y ? sizeof(uint16_t) : sizeof(float));
    if (plan->pass == CONV_INPUT_GRAD && is_now(IN_INPUT_GRADIENT))
        flip_bit(arguments->dx, plan->problem.bf16_x ? sizeof(uint16_t) : sizeof(float));
    if (plan->pass == CONV_WEIGHT_GRAD && is_now(IN_GRADIENT)) flip_bit(arguments->dw, sizeof(float));
}

__typeof__(loss_softmax_cross_entropy) __real_loss_softmax_cross_entropy, __wrap_loss_softmax_cross_entropy;
loss_result __wrap_loss_softmax_cross_entropy(const float *logits, const uint8_t *labels, int n, double smoothing, float scale,
                                              float *dlogits)
{
    loss_result loss = __real_loss_softmax_cross_entropy(logits, labels, n, smoothing, scale, dlogits);
    if (dlogits && steps_begun < PASSES_MAX) passes_of_step[steps_begun] = passes;
    if (dlogits && is_now(IN_LOSS)) flip_bit(&loss.loss_sum, sizeof loss.loss_sum);
    return loss;
}

/* Its gradient with respect to the outputs, before it is written as a factor: the first number is of this rank's images. */
void __real_factors_write(const factor_batch *batch, int layer, const void *x, const void *dy);
void __wrap_factors_write(const factor_batch *batch, int layer, const void *x, const void *dy);
void __wrap_factors_write(const factor_batch *batch, int layer, const void *x, const void *dy)
{
    bool now = model_layers[layer].in == 512 && is_now(IN_FACTORS);
    float *sound = (float *)(uintptr_t)x, before = *sound;
    if (now) flip_bit(sound, sizeof *sound);
    __real_factors_write(batch, layer, x, dy);
    *sound = before;
}

static train_config config_of(const char *name)
{
    train_config config = runs_config(SAMPLES, BATCH);
    config.epochs = 1;
    config.step.exchange.name = name;
    config.checkpoint_steps = 1;
    config.background_saves = false;
    config.output = runs_fresh_folder();
    config.replay_every = 2;
    return config;
}

static void run_with(train_config *config, place where, int pass, run_record *record, vgg_status expected)
{
    steps_begun = 0;
    memset(passes_of_step, 0, sizeof passes_of_step);
    flip.where = where;
    flip.pass = pass;
    runs_expect_recorded(*config, record, expected, config->step.exchange.name);
    flip.where = NOWHERE;
}

static const struct {
    place where;
    int pass; /* 1: the one whose gradient is used */
    const char *exchange;
    vgg_precision precision;
    int micro_batches;
    const char *said;
} errors[] = {
    {IN_OUTPUT, 1, "node", PRECISION_FP32, 0, "the output of conv5"},
    {IN_OUTPUT, 2, "overlap", PRECISION_BF16, 0, "the output of conv5"},
    {IN_LOSS, 1, "allreduce", PRECISION_FP32, 0, "the loss"},
    {IN_INPUT_GRADIENT, 1, "node", PRECISION_BF16, 0, "the gradient of conv4.bias"},
    {IN_GRADIENT, 1, "node", PRECISION_FP32, 0, "the gradient of conv5.kernel"},
    {IN_GRADIENT, 1, "overlap", PRECISION_FP32, 0, "the gradient of conv5.kernel"},
    {IN_GRADIENT, 2, "allreduce", PRECISION_BF16, 0, "the gradient of conv5.kernel"},
    {IN_GRADIENT, 2, "node", PRECISION_FP32, 4, "the gradient of conv5.kernel"},
    {IN_FACTORS, 1, "node", PRECISION_FP32, 0, "the gradient of fc1.kernel"},
    {IN_FACTORS, 2, "node", PRECISION_FP32, 0, "the gradient of fc1.kernel"},
};
enum { ERRORS = sizeof errors / sizeof errors[0] };

/* In step 2 the micro-batch of index 1 is computed twice, the third pass of that step being the second over it. */
static int pass_of(int i) { return errors[i].pass + (errors[i].micro_batches > comm_size(ranks)); }

static bool can_run(int i)
{
    bool fits = errors[i].micro_batches % comm_size(ranks) == 0, apart = comm_node_count(ranks) > 1;
    return fits && !(errors[i].where == IN_FACTORS && apart);
}

/* The rank is named, and its host, the step and what came out otherwise. */
static bool names(const char *said)
{
    char rank[32];
    snprintf(rank, sizeof rank, "rank %d ", comm_size(ranks) - 1);
    return strstr(vgg_message(), rank) && strstr(vgg_message(), comm_host(ranks)) && strstr(vgg_message(), "step 2 ") &&
           strstr(vgg_message(), said);
}

START_TEST(an_error_is_found)
{
    run_record record;
    char path[CHECKPOINT_PATH_MAX];
    if (!can_run(_i)) return;
    train_config config = config_of(errors[_i].exchange);
    config.step.network.precision = errors[_i].precision;
    config.step.exchange.micro_batches = errors[_i].micro_batches;
    run_with(&config, errors[_i].where, pass_of(_i), &record, VGG_DISAGREE);
    ranks_assert(names(errors[_i].said), vgg_message());
    ranks_assert(comm_rank(ranks) > 0 || (record.step_count == 1 && record.saved_count == 1), "after the first step");
    checkpoint_path(config.output, 2, path);
    ranks_assert(access(path, F_OK) != 0, "nothing of it is saved");
}
END_TEST

/* Some rows of each precision, with threads that share the work anew each time. */
static const struct {
    const char *exchange;
    vgg_precision precision;
    int micro_batches;
} sound[] = {
    {"node", PRECISION_FP32, 0},      {"node", PRECISION_BF16, 0},    {"allreduce", PRECISION_FP32, 0},
    {"allreduce", PRECISION_BF16, 0}, {"overlap", PRECISION_BF16, 0}, {"overlap", PRECISION_FP32, 4},
};
enum { SOUND = sizeof sound / sizeof sound[0] };

/* As many passes as there are micro-batches, and one more in each step. */
static bool was_replayed(int micro_batches)
{
    int own = micro_batches > 0 ? micro_batches / comm_size(ranks) : 1;
    for (int step = 1; step <= STEPS; step++)
        if (passes_of_step[step] != own + 1) return false;
    return true;
}

START_TEST(nobody_is_accused_who_errs_nowhere)
{
    run_record record;
    if (sound[_i].micro_batches % comm_size(ranks) != 0) return;
    train_config config = config_of(sound[_i].exchange);
    config.step.network.precision = sound[_i].precision;
    config.step.network.threads = config.optimizer.threads = 2;
    config.step.exchange.micro_batches = sound[_i].micro_batches;
    config.replay_every = 1;
    config.checkpoint_steps = 0;
    run_with(&config, NOWHERE, 0, &record, VGG_OK);
    ranks_assert(comm_rank(ranks) > 0 || record.step_count == STEPS, "all steps");
    ranks_assert(was_replayed(sound[_i].micro_batches), "each is computed twice");
}
END_TEST

static const char *const exchanges[] = {"node", "overlap"};

/* Neither sums nor losses take anything from the second pass, and only the steps that are due have one. */
START_TEST(a_second_pass_changes_no_bit)
{
    run_record record;
    train_config plain = config_of(exchanges[_i]), replayed = config_of(exchanges[_i]);
    plain.replay_every = 0;
    run_with(&plain, NOWHERE, 0, &record, VGG_OK);
    run_with(&replayed, NOWHERE, 0, &record, VGG_OK);
    ranks_assert(passes_of_step[1] == 1 && passes_of_step[2] == 2 && passes_of_step[3] == 1, "every second step");
    ranks_assert(comm_rank(ranks) > 0 || runs_same_file(plain.output, replayed.output, STEPS), "the same end");
}
END_TEST

static void be_quiet(void) { vgg_log_configure(VGG_LOG_ERROR, comm_rank(ranks) == 0); }

static Suite *make_suite(void)
{
    Suite *suite = suite_create("replay every");
    TCase *tests = tcase_create("replay every");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, be_quiet, NULL);
    tcase_add_checked_fixture(tests, NULL, runs_remove_folders);
    tcase_add_loop_test(tests, an_error_is_found, 0, ERRORS);
    tcase_add_loop_test(tests, nobody_is_accused_who_errs_nowhere, 0, SOUND);
    tcase_add_loop_test(tests, a_second_pass_changes_no_bit, 0, sizeof exchanges / sizeof exchanges[0]);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

/* Evaluations between epochs' ends, on images that are held out, and the accuracy that ends a run. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "train/runs.h"
#include "vgg11/base/log.h"
#include "vgg11/train/evaluate.h"

/* 3 steps an epoch, the last one short; two epochs and a step; evaluated after every second step besides. */
enum { SAMPLES = 20, BATCH = 8, STEPS = 7, EVERY = 2, EVALUATIONS = 5 };
static const uint64_t evaluated[EVALUATIONS] = {2, 3, 4, 6, 7};

static const char *whole; /* folder of the uninterrupted run, a checkpoint after each step */
static run_record whole_record;

static train_config config_of(void)
{
    train_config config = runs_config(SAMPLES, BATCH);
    config.max_steps = STEPS;
    config.eval_every = EVERY;
    config.checkpoint_steps = STEPS;
    config.check_every = 0;
    return config;
}

static void run_whole(void)
{
    vgg_log_configure(VGG_LOG_ERROR, comm_rank(ranks) == 0);
    train_config config = config_of();
    config.output = whole = runs_fresh_folder();
    config.checkpoint_steps = 1;
    runs_expect_recorded(config, &whole_record, VGG_OK, "uninterrupted");
}

static bool same_evaluation(const run_eval_event *a, const run_eval_event *b)
{
    return a->epoch == b->epoch && a->step == b->step && a->train_loss == b->train_loss && a->test_loss == b->test_loss &&
           a->test_accuracy == b->test_accuracy && a->samples == b->samples;
}

/* The last evaluations of the whole run, from number `from` on. */
static bool same_evaluations(const run_record *record, int from)
{
    bool same = record->eval_count == EVALUATIONS - from;
    for (int i = 0; same && i < record->eval_count; i++) same = same_evaluation(&record->evals[i], &whole_record.evals[from + i]);
    return same;
}

static bool evaluated_where_due(const run_record *record)
{
    bool right = record->eval_count == EVALUATIONS;
    for (int i = 0; right && i < EVALUATIONS; i++) right = record->evals[i].step == evaluated[i];
    return right;
}

START_TEST(a_run_is_evaluated_every_so_many_steps_and_where_epochs_end)
{
    ranks_assert(comm_rank(ranks) > 0 || evaluated_where_due(&whole_record), "evaluations after steps 2, 3, 4, 6 and 7");
}
END_TEST

START_TEST(a_resumed_run_evaluates_where_the_whole_did)
{
    run_record record;
    char path[CHECKPOINT_PATH_MAX];
    static const uint64_t steps[] = {2, 5}; /* after an evaluation within an epoch, and between two */
    int from = 0;
    train_config config = config_of();
    checkpoint_path(whole, steps[_i], path);
    config.resume = path;
    config.output = runs_fresh_folder();
    while (from < EVALUATIONS && evaluated[from] <= steps[_i]) from++;
    runs_expect_recorded(config, &record, VGG_OK, "resumed");
    ranks_assert(comm_rank(ranks) > 0 || same_evaluations(&record, from), "evaluations left");
    ranks_assert(comm_rank(ranks) > 0 || runs_same_file(whole, config.output, STEPS), "files at the end");
}
END_TEST

static int signal_in; /* the evaluation that is interrupted, counted from 1; 0: none */

__typeof__(evaluate_run) __real_evaluate_run, __wrap_evaluate_run;
vgg_status __wrap_evaluate_run(comm *c, network *net, const float *weights, const dataset *set, const normalization *table,
                               uint32_t batch, evaluation *result)
{
    if (signal_in > 0 && --signal_in == 0 && comm_rank(c) == 0) raise(SIGTERM);
    return __real_evaluate_run(c, net, weights, set, table, batch, result);
}

/* The first is within an epoch, the second ends one, the last ends the run. */
START_TEST(an_evaluation_that_was_given_up_is_made_up_for)
{
    static const int which[] = {0, 1, EVALUATIONS - 1};
    run_record record;
    train_config config = config_of();
    config.output = runs_fresh_folder();
    signal_in = 1 + which[_i];
    runs_expect_recorded(config, &record, VGG_STOPPED, "signalled in an evaluation");
    config.resume = config.output;
    runs_expect_recorded(config, &record, VGG_OK, "resumed");
    ranks_assert(comm_rank(ranks) > 0 || same_evaluations(&record, which[_i]), "the same evaluations, from that one on");
    ranks_assert(comm_rank(ranks) > 0 || runs_same_file(whole, config.output, STEPS), "files at the end");
}
END_TEST

/* The first evaluation that is as good as the best of all, which all ranks know from rank 0. */
static int find_best(double *accuracy)
{
    int best = 0;
    for (int i = 1; i < whole_record.eval_count; i++) {
        if (whole_record.evals[i].test_accuracy > whole_record.evals[best].test_accuracy) best = i;
    }
    *accuracy = whole_record.evals[best].test_accuracy;
    comm_broadcast(ranks, accuracy, sizeof *accuracy, 0);
    comm_broadcast(ranks, &best, sizeof best, 0);
    return best;
}

START_TEST(a_run_ends_where_its_accuracy_is_reached)
{
    run_record record;
    train_config config = config_of();
    config.output = runs_fresh_folder();
    int best = find_best(&config.target_accuracy);
    uint64_t step = evaluated[best];
    ranks_assert(config.target_accuracy > 0 && step < STEPS, "the best accuracy comes before the end");
    runs_expect_recorded(config, &record, VGG_OK, "up to the target");
    ranks_assert(comm_rank(ranks) > 0 || (record.step_count == (int)step && record.eval_count == best + 1), "ends at once");
    ranks_assert(comm_rank(ranks) > 0 || record.saved[record.saved_count - 1] == step, "with a checkpoint");
    config.resume = config.output;
    runs_expect_recorded(config, &record, VGG_OK, "nothing to do");
    ranks_assert(record.step_count == 0 && record.ends == 0, "a run that has reached it does not go on");
    config.target_accuracy = 0;
    runs_expect_recorded(config, &record, VGG_OK, "on without a target");
    ranks_assert(comm_rank(ranks) > 0 || same_evaluations(&record, best + 1), "the evaluations that are left");
}
END_TEST

/* What is held out is not seen in training: an epoch without it has other steps, and its loss is that of other images. */
START_TEST(images_that_are_held_out_are_evaluated_on)
{
    enum { HELD_OUT = 5 };
    run_record record;
    train_config config = config_of();
    config.data.validation = HELD_OUT;
    config.output = runs_fresh_folder();
    runs_expect_recorded(config, &record, VGG_OK, "with a validation set");
    bool first = comm_rank(ranks) == 0;
    ranks_assert(!first || record.evals[0].samples == HELD_OUT, "as many as were asked for");
    ranks_assert(!first || record.steps[1].samples == SAMPLES - HELD_OUT - BATCH, "and trained on the others");
    config.data.validation = SAMPLES;
    config.output = NULL;
    runs_expect(&config, VGG_BAD_OPTION, "nothing left to train on");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("evaluations");
    TCase *tests = tcase_create("evaluations");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, run_whole, runs_remove_folders);
    tcase_add_test(tests, a_run_is_evaluated_every_so_many_steps_and_where_epochs_end);
    tcase_add_loop_test(tests, a_resumed_run_evaluates_where_the_whole_did, 0, 2);
    tcase_add_loop_test(tests, an_evaluation_that_was_given_up_is_made_up_for, 0, 3);
    tcase_add_test(tests, a_run_ends_where_its_accuracy_is_reached);
    tcase_add_test(tests, images_that_are_held_out_are_evaluated_on);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

/* Training over real ranks: however many share a batch, and however their gradients travel, the result is that of one
 * processor, and all ranks hold the same bits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/settings.h"
#include "train/runs.h"
#include "train/serial_run.h"
#include "vgg11/comm/replica.h"
#include "vgg11/nn/model.h"

/* Replicas are compared less often than elsewhere: with eight ranks that takes as long as their steps. */
enum { STEPS_MAX = 6, CHECK_EVERY = 3 };

/* Batches whose parts are unequal for every number of ranks but 1, the last of an epoch short. The second has fewer images
 * than 3, 4 or 8 ranks, and those augmented, labels smoothed, others held out. */
static const struct {
    uint32_t samples, batch;
    uint64_t steps;
    uint32_t held_out;
    const char *augment;
    double label_smoothing;
} shapes[] = {{44, 16, STEPS_MAX, 0, "none", 0}, {9, 3, 4, 2, "affine", 0.1}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* The serial result for one setting and shape at a time, on rank 0. */
static serial_step expected[STEPS_MAX];
static float *start, *weights, *velocity;
static const setting *known_setting;
static int known_shape;

static train_config config_of(const setting *how, int shape)
{
    train_config config = runs_config(shapes[shape].samples, shapes[shape].batch);
    config.max_steps = shapes[shape].steps;
    config.check_every = CHECK_EVERY;
    config.data.validation = shapes[shape].held_out;
    config.data.augment = shapes[shape].augment;
    config.step.label_smoothing = shapes[shape].label_smoothing;
    config.step.network.precision = how->precision;
    config.step.network.conv = how->conv;
    return config;
}

static void know(const setting *how, int shape)
{
    if (comm_rank(ranks) != 0 || (known_setting == how && known_shape == shape)) return;
    if (!start) start = runs_flat(), weights = runs_flat(), velocity = runs_flat();
    train_config config = config_of(how, shape);
    serial_run(&config, expected, start, weights, velocity);
    known_setting = how;
    known_shape = shape;
}

static void forget(void)
{
    free(start), free(weights), free(velocity);
    start = weights = velocity = NULL;
}

/* Rounding alone parts two runs: a sum that rounds otherwise turns some ReLU or pooling the other way, steep early steps enlarge
 * that, and the weights' own rounding is up to 2e-3 of what six steps change. So the first step is held to what float can do,
 * the others to a tenth of what one sample left out or counted twice would do. In bf16 the runs stay nearer to each other, since
 * the products see weights that are rounded to the same bf16 number but for a few. */
typedef struct {
    double loss, norm;
} step_tolerance;
static const step_tolerance first_step = {1e-6, 1e-5}, later_steps = {1e-3, 5e-3};
static const double weights_tolerance = 5e-3, velocity_tolerance = 1e-2;

/* ||actual - right|| / ||right - origin||: errors are held against what training changed. Against the weights themselves a
 * run that did nothing would pass as well. */
static double error_of_change(const float *actual, const float *right, const float *origin)
{
    double error = 0, change = 0;
    for (size_t i = 0, count = model_flat_count(); i < count; i++) {
        double off = (double)actual[i] - right[i], moved = (double)right[i] - (origin ? origin[i] : 0);
        error += off * off;
        change += moved * moved;
    }
    return sqrt(error / change);
}

static bool close_to(double actual, double right, double tolerance) { return fabs(actual - right) <= tolerance * fabs(right); }

static bool same_steps(const run_record *record, uint64_t steps)
{
    bool same = record->step_count == (int)steps;
    for (int i = 0; same && i < (int)steps; i++) {
        const run_step_event *event = &record->steps[i];
        const step_tolerance *allowed = i == 0 ? &first_step : &later_steps;
        same = event->step == (uint64_t)i + 1 && close_to(event->loss, expected[i].loss, allowed->loss) &&
               close_to(event->grad_norm, expected[i].grad_norm, allowed->norm) &&
               close_to(event->accuracy, expected[i].accuracy, 1e-12);
        if (!same)
            fprintf(stderr, "step %d: loss %.9g norm %.9g accuracy %g, expected %.9g %.9g %g\n", i + 1, event->loss,
                    event->grad_norm, event->accuracy, expected[i].loss, expected[i].grad_norm, expected[i].accuracy);
    }
    return same;
}

static bool same_end(const char *folder, uint64_t steps)
{
    run_checkpoint end = runs_load(folder, steps);
    double weight_error = error_of_change(end.weights, weights, start);
    double velocity_error = error_of_change(end.velocity, velocity, NULL);
    runs_unload(&end);
    bool same = weight_error <= weights_tolerance && velocity_error <= velocity_tolerance;
    if (!same) fprintf(stderr, "error: %.3g of the weights' change, %.3g of the velocity\n", weight_error, velocity_error);
    return same;
}

static int count_exchanges(void)
{
    const exchange_entry *entries;
    return (int)exchange_entries(&entries);
}

static const char *exchange_name_of(int i)
{
    const exchange_entry *entries;
    exchange_entries(&entries);
    return entries[i].name;
}

/* Elsewhere gradients are whole, whatever is asked for. */
static bool may_have_factors(const char *name)
{
    return comm_size(ranks) == 1 || (comm_node_count(ranks) == 1 && strcmp(name, "node") == 0);
}

/* What a run is made of: all exchanges and shapes with the settings that leave the algorithms open, in bf16 the large shape only where
 * two ranks share their memory; a row of bf16 by name, which leaves no gradients in factors, with one of each. */
typedef struct {
    const setting *how;
    int shape;
    const char *exchange;
    bool factors;
} run_case;
enum { CASES_MAX = 128 };
static run_case cases[CASES_MAX];
static int case_count;

static bool is_tested(const run_case *run)
{
    bool named = strcmp(run->how->conv, "auto") != 0;
    if (comm_size(ranks) == 1 && !named && strcmp(run->exchange, "node") != 0) return false; /* alone, they do the same */
    if (named) return !run->factors && comm_size(ranks) <= 2 && strcmp(run->exchange, "allreduce") == 0 && run->shape == SHAPES - 1;
    bool large = run->shape < SHAPES - 1, node = strcmp(run->exchange, "node") == 0;
    if (run->how->precision == PRECISION_BF16 && large && (comm_size(ranks) > 2 || !node)) return false;
    return !run->factors || may_have_factors(run->exchange);
}

/* Runs with the same serial result beside each other. */
static void find_cases(void)
{
    settings_find();
    int runs = settings_count * SHAPES * count_exchanges() * 2;
    for (int i = 0; i < runs; i++) {
        int each = i / 2, which = each / count_exchanges();
        const run_case run = {&settings[which / SHAPES], which % SHAPES, exchange_name_of(each % count_exchanges()), i % 2 == 0};
        if (is_tested(&run) && case_count < CASES_MAX) cases[case_count++] = run;
    }
}

START_TEST(parallel_equals_serial)
{
    const run_case *run = &cases[_i];
    run_record record;
    run_observer observer = runs_recorder(&record);
    train_config config = config_of(run->how, run->shape);
    config.step.exchange.name = run->exchange;
    config.step.factors = run->factors;
    config.output = runs_fresh_folder();
    config.checkpoint_every = config.epochs;
    config.observers = &observer;
    config.observer_count = 1;
    know(run->how, run->shape);
    char what[200];
    snprintf(what, sizeof what, "%s, %s, conv %s%s", run->exchange, run->how->precision == PRECISION_BF16 ? "bf16" : "fp32",
             run->how->conv, run->factors ? ", factors" : "");
    runs_expect(&config, VGG_OK, what);
    bool first = comm_rank(ranks) == 0;
    ranks_assert(!first || same_steps(&record, config.max_steps), what);
    ranks_assert(!first || same_end(config.output, config.max_steps), what);
}
END_TEST

/* Which part of a batch a rank computes is the exchange's to say: nobody's twice, nobody's not at all. Nodes of unequal sizes
 * among them (see CMakeLists.txt). */
START_TEST(every_part_has_one_rank)
{
    const vgg_range all = {0, 64};
    exchange_config config = {.name = exchange_name_of(_i), .count = 64, .segments = &all, .segment_count = 1, .threads = 1};
    exchange *ex;
    ranks_assert(exchange_create(ranks, &config, &ex) == VGG_OK, config.name);
    vgg_range mine = exchange_micro_batches(ex);
    uint64_t taken[64] = {0};
    taken[mine.first % 64] = mine.count;
    comm_sum_u64(ranks, taken, 64);
    exchange_destroy(ex);
    bool once = true;
    for (int part = 0; part < comm_size(ranks); part++) once = once && taken[part] == 1;
    ranks_assert(once, config.name);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("training");
    TCase *tests = tcase_create("training");
    tcase_set_timeout(tests, 0);
    tcase_add_checked_fixture(tests, NULL, runs_remove_folders);
    tcase_add_unchecked_fixture(tests, NULL, forget);
    tcase_add_loop_test(tests, every_part_has_one_rank, 0, count_exchanges());
    find_cases();
    tcase_add_loop_test(tests, parallel_equals_serial, 0, case_count);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

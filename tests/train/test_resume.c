/* Resuming: whatever the step at which a run ended, it goes on to the same bits; what does not fit is refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/runs.h"
#include "vgg11/base/log.h"
#include "vgg11/nn/model.h"
#include "vgg11/train/schedule.h"

/* 3 steps an epoch, the last one short; two epochs and a step. */
enum { SAMPLES = 20, BATCH = 8, STEPS = 7, STEPS_PER_EPOCH = 3, WARMUP = 2 };

static const char *whole; /* folder of the uninterrupted run, a checkpoint after each step */
static run_record whole_record;

/* The rate changes from step to step, so that a run which forgot where it stood would be seen. */
static train_config config_of(void)
{
    train_config config = runs_config(SAMPLES, BATCH);
    config.max_steps = STEPS;
    config.schedule = "cosine";
    config.schedule_steps = STEPS;
    config.warmup_steps = WARMUP;
    config.config_json = "{\"note\": \"kept\"}";
    return config;
}

static void run_whole(void)
{
    vgg_log_configure(VGG_LOG_ERROR, comm_rank(ranks) == 0);
    train_config config = config_of();
    whole = runs_fresh_folder();
    config.output = whole;
    config.checkpoint_steps = 1;
    runs_expect_recorded(config, &whole_record, VGG_OK, "uninterrupted");
}

static const char *path_of(const char *folder, uint64_t step)
{
    static char path[CHECKPOINT_PATH_MAX];
    checkpoint_path(folder, step, path);
    return path;
}

static bool whole_is_recorded(void)
{
    bool right = whole_record.saved_count == STEPS && whole_record.step_count == STEPS;
    for (int i = 0; right && i < STEPS; i++) right = whole_record.saved[i] == (uint64_t)i + 1;
    return right;
}

START_TEST(every_step_was_saved) { ranks_assert(comm_rank(ranks) > 0 || whole_is_recorded(), "a checkpoint after each step"); }
END_TEST

static bool same_rates(const run_record *record, uint64_t schedule_steps, uint64_t first)
{
    const schedule_shape *shape = schedule_find("cosine");
    bool same = record->step_count > 0;
    for (int i = 0; same && i < record->step_count; i++)
        same = record->steps[i].lr == schedule_rate(shape, config_of().lr, WARMUP, schedule_steps, first + (uint64_t)i);
    return same;
}

START_TEST(the_rate_follows_the_schedules_own_length)
{
    ranks_assert(comm_rank(ranks) > 0 || same_rates(&whole_record, STEPS, 0), "rates of a schedule of seven steps");
}
END_TEST

/* The line of an epoch covers all of it, whatever part of it this process took. */
static bool same_eval(const run_eval_event *a, const run_eval_event *b)
{
    return a->epoch == b->epoch && a->step == b->step && a->train_loss == b->train_loss && a->train_accuracy == b->train_accuracy &&
           a->test_loss == b->test_loss;
}

static bool same_tail(const run_record *record, int from)
{
    bool same = record->step_count == STEPS - from && record->start_step == (uint64_t)from;
    for (int i = 0; same && i < record->step_count; i++) {
        const run_step_event *a = &record->steps[i], *b = &whole_record.steps[from + i];
        same = a->step == b->step && a->epoch == b->epoch && a->loss == b->loss && a->accuracy == b->accuracy && a->lr == b->lr &&
               a->grad_norm == b->grad_norm && a->samples == b->samples && a->epoch_loss == b->epoch_loss &&
               a->epoch_accuracy == b->epoch_accuracy;
    }
    int before = whole_record.eval_count - record->eval_count;
    same = same && record->eval_count > 0 && before >= 0;
    for (int i = 0; same && i < record->eval_count; i++) same = same_eval(&record->evals[i], &whole_record.evals[before + i]);
    return same;
}

/* Of the whole run's epochs, in the order of its steps. */
START_TEST(an_epochs_line_is_the_mean_over_its_steps)
{
    double loss = 0, accuracy = 0, samples = 0;
    bool right = true;
    for (int i = 0, eval = 0; i < whole_record.step_count; i++) {
        const run_step_event *step = &whole_record.steps[i];
        loss += step->loss * step->samples;
        accuracy += step->accuracy * step->samples;
        samples += step->samples;
        if (step->step % STEPS_PER_EPOCH != 0 && step->step != STEPS) continue;
        const run_eval_event *line = &whole_record.evals[eval++];
        right = right && line->epoch == step->epoch && fabs(line->train_loss * samples - loss) < 1e-9 * loss &&
                fabs(line->train_accuracy * samples - accuracy) < 1e-9 && samples == (step->step == STEPS ? BATCH : SAMPLES);
        loss = accuracy = samples = 0;
    }
    ranks_assert(right, "training loss and accuracy of each epoch");
}
END_TEST

/* Not collective. The files differ: a run that stopped was evaluated there, which counts for the best so far. */
static bool same_weights(const char *folder, const char *other, uint64_t step)
{
    size_t bytes = model_flat_count() * sizeof(float);
    run_checkpoint a = runs_load(folder, step), b = runs_load(other, step);
    bool same = memcmp(a.weights, b.weights, bytes) == 0 && memcmp(a.velocity, b.velocity, bytes) == 0;
    runs_unload(&a);
    runs_unload(&b);
    return same;
}

START_TEST(a_stop_leaves_the_schedule_alone)
{
    enum { END = 2 * STEPS_PER_EPOCH };
    run_record straight, stopped, resumed;
    train_config config = config_of();
    config.epochs = 2;
    config.max_steps = config.schedule_steps = 0;
    config.checkpoint_every = config.epochs;
    const char *folder = config.output = runs_fresh_folder();
    runs_expect_recorded(config, &straight, VGG_OK, "straight to the end");
    config.output = runs_fresh_folder();
    config.max_steps = END - 1;
    runs_expect_recorded(config, &stopped, VGG_OK, "stopped a step before");
    config.resume = config.output;
    config.max_steps = END;
    runs_expect_recorded(config, &resumed, VGG_OK, "resumed");
    bool first = comm_rank(ranks) == 0;
    ranks_assert(!first || same_rates(&stopped, END, 0), "rates until it stops");
    ranks_assert(!first || (resumed.step_count == 1 && same_rates(&resumed, END, END - 1)), "rate of the last step");
    ranks_assert(!first || same_weights(folder, config.output, END), "weights and velocity at the end");
    ranks_assert(!first || same_eval(&resumed.evals[0], &straight.evals[1]), "line of the epoch");
    ranks_assert(!first || straight.evals[1].epoch == 2, "its number");
}
END_TEST

/* The first step, the edge of an epoch, and in mid-epoch. */
START_TEST(goes_on_to_the_same_bits)
{
    static const int stops[] = {1, STEPS_PER_EPOCH, 2 * STEPS_PER_EPOCH - 1};
    int from = stops[_i];
    run_record record;
    char start[CHECKPOINT_PATH_MAX];
    snprintf(start, sizeof start, "%s", path_of(whole, (uint64_t)from));
    train_config config = config_of();
    config.resume = start;
    config.output = runs_fresh_folder();
    config.checkpoint_every = config.epochs;
    runs_expect_recorded(config, &record, VGG_OK, start);
    bool first = comm_rank(ranks) == 0;
    ranks_assert(!first || same_tail(&record, from), "steps after resuming");
    ranks_assert(!first || runs_same_file(whole, config.output, STEPS), "files at the end");
}
END_TEST

static vgg_status count_beginning(void *context, const run_start_event *event)
{
    (void)event;
    ++*(int *)context;
    return VGG_OK;
}

static vgg_status refuse_beginning(void *context, const run_start_event *event)
{
    (void)context;
    return vgg_fail(VGG_IO_ERROR, "no room after step %d", (int)event->step);
}

static bool is_empty(const char *folder)
{
    char path[CHECKPOINT_PATH_MAX];
    snprintf(path, sizeof path, "%s/best.safetensors", folder);
    bool empty = access(path, F_OK) != 0;
    for (uint64_t step = 0; step <= STEPS; step++) empty = empty && access(path_of(folder, step), F_OK) != 0;
    return empty;
}

/* Neither by its epochs nor by its steps is anything left: nothing begins, nobody is told, nothing is written. */
START_TEST(a_run_that_is_complete_is_left_alone)
{
    run_record record;
    int begun = 0;
    train_config config = config_of();
    config.resume = path_of(whole, _i ? STEPS : 2 * STEPS_PER_EPOCH);
    if (_i == 0) config.epochs = 2, config.max_steps = 0;
    config.begin = count_beginning;
    config.begin_context = &begun;
    config.output = runs_fresh_folder();
    config.checkpoint_every = 1;
    runs_expect_recorded(config, &record, VGG_OK, "complete");
    bool nothing = begun == 0 && record.ends == 0 && record.step_count == 0 && record.eval_count == 0 && record.start_step == 0;
    ranks_assert(nothing && is_empty(config.output), "nothing is done");
}
END_TEST

/* What cannot be written to is found out on one rank, and all end. */
START_TEST(a_beginning_that_fails_ends_all)
{
    run_record record;
    train_config config = config_of();
    config.resume = path_of(whole, 2);
    config.begin = refuse_beginning;
    runs_expect_recorded(config, &record, VGG_IO_ERROR, "refused by its caller");
    ranks_assert(strstr(vgg_message(), "no room after step 2") && record.ends == 0 && record.step_count == 0, vgg_message());
}
END_TEST

/* In bf16 by what is expected to be fast, and by a row, by the name that it once had, that keeps rounded weights of its own: those
 * of a resumed run are made when it begins, those of the other after its step. */
static const char *const bf16_rows[] = {"auto", "bf16-portable"};

START_TEST(goes_on_to_the_same_bits_in_bf16)
{
    enum { FROM = STEPS_PER_EPOCH + 1 };
    train_config config = config_of();
    config.step.network.precision = PRECISION_BF16;
    config.step.network.conv = bf16_rows[_i];
    config.max_steps = FROM + 2;
    config.checkpoint_steps = FROM;
    const char *folder = config.output = runs_fresh_folder();
    runs_expect(&config, VGG_OK, bf16_rows[_i]);
    config.resume = path_of(folder, FROM);
    config.output = runs_fresh_folder();
    runs_expect(&config, VGG_OK, "the last steps again");
    ranks_assert(comm_rank(ranks) > 0 || runs_same_file(folder, config.output, config.max_steps), "files at the end");
}
END_TEST

static void other_batch(train_config *config) { config->batch_size = 5; }
static void other_seed(train_config *config) { config->seed = 8; }
static void other_samples(train_config *config) { config->data.train_samples = 21; }
static void other_pixels(train_config *config) { config->data.normalize = "unit"; }
static void other_order(train_config *config) { config->shuffle = false; }

static const struct {
    void (*change)(train_config *config);
    const char *saved, *asked;
} misfits[] = {
    {other_batch, "batch-size=8", "batch-size=5"},
    {other_seed, "seed=7", "seed=8"},
    {other_samples, "train-samples=20", "train-samples=21"},
    {other_pixels, "normalize=standard", "normalize=unit"},
    {other_order, "shuffle=1", "shuffle=0"},
};

START_TEST(another_recipe_is_refused)
{
    train_config config = config_of();
    config.resume = path_of(whole, 2);
    misfits[_i].change(&config);
    int begun = 0;
    config.begin = count_beginning;
    config.begin_context = &begun;
    runs_expect(&config, VGG_BAD_CHECKPOINT, misfits[_i].asked);
    ranks_assert(begun == 0, "it has not begun");
    ranks_assert(strstr(vgg_message(), misfits[_i].saved) && strstr(vgg_message(), misfits[_i].asked), vgg_message());
}
END_TEST

/* Not collective. */
static void save_changed(const char *path, void (*change)(run_checkpoint *checkpoint))
{
    run_checkpoint checkpoint = runs_load(whole, 2);
    change(&checkpoint);
    runs_require(checkpoint_save(path, &checkpoint.state, checkpoint.weights, checkpoint.velocity, NULL) == VGG_OK, vgg_message());
    runs_unload(&checkpoint);
}

static void step_elsewhere(run_checkpoint *checkpoint) { checkpoint->state.position.step = 5; }
static void epoch_elsewhere(run_checkpoint *checkpoint) { checkpoint->state.position.epoch = UINT32_MAX; }
static void position_elsewhere(run_checkpoint *checkpoint) { checkpoint->state.position.epoch_step = STEPS_PER_EPOCH; }
static void position_beyond(run_checkpoint *checkpoint)
{
    checkpoint->state.position.step = checkpoint->state.position.epoch_step = STEPS_PER_EPOCH + 1;
}

static void (*const contradictions[])(run_checkpoint *) = {step_elsewhere, epoch_elsewhere, position_elsewhere, position_beyond};

START_TEST(a_state_that_contradicts_itself_is_refused)
{
    const char *folder = runs_fresh_folder();
    if (comm_rank(ranks) == 0) save_changed(path_of(folder, 2), contradictions[_i]);
    train_config config = config_of();
    config.resume = path_of(folder, 2);
    runs_expect(&config, VGG_BAD_CHECKPOINT, "step, epoch and position that do not fit");
}
END_TEST

/* Not collective. */
static void flip_last_byte(const char *path)
{
    FILE *file = fopen(path, "r+b");
    runs_require(file && fseek(file, -1, SEEK_END) == 0, path);
    int byte = fgetc(file);
    fseek(file, -1, SEEK_END);
    fputc(byte ^ 1, file);
    fclose(file);
}

START_TEST(a_damaged_newest_file_is_passed_over)
{
    bool first = comm_rank(ranks) == 0;
    const char *newest = path_of(whole, STEPS);
    run_record record;
    train_config config = config_of();
    if (first) flip_last_byte(newest);
    config.resume = newest;
    runs_expect(&config, VGG_BAD_CHECKPOINT, "a damaged file, named");
    config.resume = whole;
    config.output = runs_fresh_folder();
    config.checkpoint_every = config.epochs;
    runs_expect_recorded(config, &record, VGG_OK, "a folder with a damaged file");
    if (first) flip_last_byte(newest);
    ranks_assert(!first || same_tail(&record, STEPS - 1), "goes on from the file before");
    ranks_assert(!first || runs_same_file(whole, config.output, STEPS), "files at the end");
}
END_TEST

START_TEST(nothing_to_resume_is_said)
{
    train_config config = config_of();
    config.resume = "/nonexistent/checkpoint";
    runs_expect(&config, VGG_BAD_CHECKPOINT, "no such file");
    config.resume = runs_fresh_folder();
    runs_expect(&config, VGG_BAD_CHECKPOINT, "an empty folder");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("resume");
    TCase *tests = tcase_create("resume");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, run_whole, runs_remove_folders);
    tcase_add_test(tests, every_step_was_saved);
    tcase_add_test(tests, the_rate_follows_the_schedules_own_length);
    tcase_add_test(tests, an_epochs_line_is_the_mean_over_its_steps);
    tcase_add_test(tests, a_stop_leaves_the_schedule_alone);
    tcase_add_loop_test(tests, goes_on_to_the_same_bits, 0, 3);
    tcase_add_loop_test(tests, a_run_that_is_complete_is_left_alone, 0, 2);
    tcase_add_test(tests, a_beginning_that_fails_ends_all);
    tcase_add_loop_test(tests, goes_on_to_the_same_bits_in_bf16, 0, sizeof bf16_rows / sizeof bf16_rows[0]);
    tcase_add_loop_test(tests, another_recipe_is_refused, 0, sizeof misfits / sizeof misfits[0]);
    tcase_add_loop_test(tests, a_state_that_contradicts_itself_is_refused, 0, sizeof contradictions / sizeof contradictions[0]);
    tcase_add_test(tests, a_damaged_newest_file_is_passed_over);
    tcase_add_test(tests, nothing_to_resume_is_said);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

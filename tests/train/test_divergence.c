/* Training that goes wrong says so on all ranks, leaves good checkpoints alone, and does not cry wolf. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/runs.h"
#include "vgg11/base/log.h"
#include "vgg11/nn/model.h"

static const char *sound; /* folder with a sound checkpoint after step 1 */

static train_config config_of(void)
{
    train_config config = runs_config(16, 4);
    config.max_steps = 40;
    config.checkpoint_steps = 1;
    return config;
}

static void run_sound(void)
{
    vgg_log_configure(VGG_LOG_ERROR, comm_rank(ranks) == 0);
    train_config config = config_of();
    sound = runs_fresh_folder();
    config.output = sound;
    config.max_steps = 1;
    runs_expect(&config, VGG_OK, "one step");
}

static bool all_finite(const float *values)
{
    bool finite = true;
    for (size_t i = 0; finite && i < model_flat_count(); i++) finite = isfinite(values[i]);
    return finite;
}

/* Not collective. What a resume would take holds finite numbers only. */
static bool newest_is_sound(const char *folder)
{
    char path[CHECKPOINT_PATH_MAX];
    uint64_t step = 0;
    if (checkpoint_find_newest(folder, path) != VGG_OK) return false;
    runs_require(sscanf(strrchr(path, '/'), "/checkpoint-%lu", &step) == 1, path);
    run_checkpoint newest = runs_load(folder, step);
    bool finite = all_finite(newest.weights) && all_finite(newest.velocity);
    runs_unload(&newest);
    return finite;
}

static char *copy_of_sound(void)
{
    static char folder[CHECKPOINT_PATH_MAX];
    char from[CHECKPOINT_PATH_MAX], to[CHECKPOINT_PATH_MAX];
    snprintf(folder, sizeof folder, "%s", runs_fresh_folder());
    checkpoint_path(sound, 1, from);
    checkpoint_path(folder, 1, to);
    if (comm_rank(ranks) == 0) {
        run_checkpoint checkpoint = runs_load(sound, 1);
        runs_require(checkpoint_save(to, &checkpoint.state, checkpoint.weights, checkpoint.velocity, NULL) == VGG_OK,
                     vgg_message());
        runs_unload(&checkpoint);
    }
    comm_barrier(ranks);
    return folder;
}

/* Rates that break training at once: numbers overflow in the next steps, or in the very weights that would be saved. */
START_TEST(high_rates_diverge)
{
    static const double rates[] = {1000, 1e38};
    char *folder = copy_of_sound();
    train_config config = config_of();
    config.resume = config.output = folder;
    config.keep = 2;
    config.lr = rates[_i];
    config.optimizer.clip_norm = 0;
    runs_expect(&config, VGG_DIVERGED, "a rate far too high");
    ranks_assert(strstr(vgg_message(), "diverged") != NULL, vgg_message());
    ranks_assert(comm_rank(ranks) > 0 || newest_is_sound(folder), "the newest checkpoint is sound");
}
END_TEST

/* The question's: Glorot weights, raw pixels. Its loss starts far above guessing, and comes down. */
START_TEST(raw_pixels_do_not_count_as_divergence)
{
    train_config config = config_of();
    config.data.train_samples = 64;
    config.init = "glorot";
    config.data.normalize = "none";
    config.data.resize = "nearest";
    config.checkpoint_steps = 0;
    config.max_steps = 30; /* more than the steps after which a rise counts */
    config.batch_size = 8;
    runs_expect(&config, VGG_OK, "raw pixels");
}
END_TEST

/* The rate rises until no step leads anywhere but up; clipping keeps every number finite. */
START_TEST(a_loss_that_runs_away_is_noticed)
{
    train_config config = config_of();
    config.data.train_samples = 64;
    config.checkpoint_steps = 0;
    config.max_steps = 40;
    config.warmup_steps = 40;
    config.lr = 10;
    runs_expect(&config, VGG_DIVERGED, "a loss that runs away");
    ranks_assert(strstr(vgg_message(), "loss runs away") != NULL, vgg_message());
}
END_TEST

static void plant_velocity(run_checkpoint *checkpoint, float value) { checkpoint->velocity[model_tensors()[10].offset] = value; }
static void plant_weight(run_checkpoint *checkpoint, float value) { checkpoint->weights[model_tensors()[1].offset] = value; }

/* A ReLU makes a zero of a NaN, so that one in the first layer's bias would never reach the loss. */
static const struct {
    void (*plant)(run_checkpoint *checkpoint, float value);
    float value;
} plants[] = {{plant_velocity, NAN}, {plant_weight, NAN}, {plant_velocity, -INFINITY}, {plant_weight, INFINITY}};

START_TEST(numbers_that_are_none_are_not_saved_nor_taken)
{
    const char *folder = runs_fresh_folder();
    char path[CHECKPOINT_PATH_MAX];
    checkpoint_path(folder, 1, path);
    vgg_status status = VGG_DIVERGED;
    if (comm_rank(ranks) == 0) {
        run_checkpoint checkpoint = runs_load(sound, 1);
        plants[_i].plant(&checkpoint, plants[_i].value);
        status = checkpoint_save(path, &checkpoint.state, checkpoint.weights, checkpoint.velocity, NULL);
        runs_unload(&checkpoint);
    }
    ranks_assert(status == VGG_DIVERGED, "not saved");
}
END_TEST

/* Finite in the file, and no longer after the next update: of a weight that the loss sees, and of a bias behind a ReLU. */
static void (*const overflows[])(run_checkpoint *checkpoint, float value) = {plant_velocity, plant_weight};

START_TEST(overflow_in_an_update_is_noticed)
{
    char *folder = copy_of_sound(), path[CHECKPOINT_PATH_MAX];
    checkpoint_path(folder, 1, path);
    if (comm_rank(ranks) == 0) {
        run_checkpoint checkpoint = runs_load(sound, 1);
        overflows[_i](&checkpoint, -3e38f);
        checkpoint.velocity[model_tensors()[1].offset] = -3e38f;
        runs_require(checkpoint_save(path, &checkpoint.state, checkpoint.weights, checkpoint.velocity, NULL) == VGG_OK,
                     vgg_message());
        runs_unload(&checkpoint);
    }
    train_config config = config_of();
    config.resume = config.output = folder;
    config.max_steps = 6;
    runs_expect(&config, VGG_DIVERGED, "overflow");
    ranks_assert(comm_rank(ranks) > 0 || newest_is_sound(folder), "the newest checkpoint is sound");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("divergence");
    TCase *tests = tcase_create("divergence");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, run_sound, runs_remove_folders);
    tcase_add_loop_test(tests, high_rates_diverge, 0, 2);
    tcase_add_test(tests, raw_pixels_do_not_count_as_divergence);
    tcase_add_test(tests, a_loss_that_runs_away_is_noticed);
    tcase_add_loop_test(tests, numbers_that_are_none_are_not_saved_nor_taken, 0, sizeof plants / sizeof plants[0]);
    tcase_add_loop_test(tests, overflow_in_an_update_is_noticed, 0, sizeof overflows / sizeof overflows[0]);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

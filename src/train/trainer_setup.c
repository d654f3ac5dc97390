/* What a run needs before its first step. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/trainer_impl.h"
#include "vgg11/base/cpu.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/log.h"
#include "vgg11/base/memory.h"
#include "vgg11/data/sampler.h"

/* Pixels are normalised by what is trained on: images that are held out must tell nothing of themselves. */
static void normalize(trainer *t)
{
    uint64_t histogram[256], held_out[256] = {0};
    const dataset *set = &t->evaluation_set;
    for (uint32_t i = 0; t->places && i < set->count; i++)
        normalization_count(set->images + (size_t)dataset_place(set, i) * DATASET_PIXELS, 1, held_out);
    for (int b = 0; b < 256; b++) histogram[b] = t->train.histogram[b] - held_out[b];
    normalization_find(t->config->data.normalize)->fill(&t->pixels, histogram);
}

/* What is trained and what is evaluated on: the two sets, or two parts of the first. */
static vgg_status split_data(trainer *t)
{
    uint32_t held_out = t->config->data.validation, count = t->train.set.count;
    t->train_set = t->train.set;
    t->evaluation_set = t->test.set;
    if (held_out >= count)
        return vgg_fail(VGG_BAD_OPTION, "--validation %u: there are %u training images, and some must be left to train on",
                        held_out, count);
    if (held_out > 0) {
        t->places = malloc(count * sizeof *t->places);
        if (!t->places) return vgg_fail(VGG_UNAVAILABLE, "no memory for the order of %u images", count);
        sampler_split(t->places, count);
        t->evaluation_set = t->train_set;
        t->train_set.count -= held_out;
        t->train_set.places = t->places;
        t->evaluation_set.count = held_out;
        t->evaluation_set.places = t->places + t->train_set.count;
    }
    normalize(t);
    return VGG_OK;
}

static vgg_status open_data(trainer *t)
{
    const data_config *data = &t->config->data;
    VGG_TRY(
        shared_dataset_open(t->c, data->directory, DATASET_TRAIN, data->train_samples, data->resize, data->resize_bug, &t->train));
    VGG_TRY(shared_dataset_open(t->c, data->directory, DATASET_TEST, data->test_samples, data->resize, data->resize_bug, &t->test));
    shared_dataset_tell_copy(*t->train.refused ? &t->train : &t->test);
    VGG_TRY(comm_agree(t->c, split_data(t)));
    if (t->config->look && comm_rank(t->c) == 0) t->config->look(&t->train, &t->test, &t->pixels);
    t->augment = (batch_augmentation){.kind = augmentation_find(data->augment ? data->augment : "none"), .seed = t->config->seed};
    return VGG_OK;
}

static void count_steps(trainer *t)
{
    const train_config *config = t->config;
    t->steps_per_epoch = sampler_steps(t->train_set.count, config->batch_size);
    t->steps_total = (uint64_t)t->steps_per_epoch * config->epochs;
    t->schedule_steps = config->schedule_steps > 0 ? config->schedule_steps : t->steps_total;
    if (config->max_steps > 0 && config->max_steps < t->steps_total) t->steps_total = config->max_steps;
    t->warmup_steps = schedule_warmup(config->warmup_steps, t->schedule_steps);
    if (t->warmup_steps > t->schedule_steps)
        vgg_log(VGG_LOG_WARNING,
                "--warmup-steps %" PRIu64 " is longer than the schedule of %" PRIu64 " steps: the rate never rises to --lr",
                t->warmup_steps, t->schedule_steps);
}

/* Completes the step's configuration: the largest batch, and the exchange and algorithms that a resumed run takes again. */
static void configure_step(trainer *t)
{
    t->step_config = t->config->step;
    t->step_config.batch_size = t->config->batch_size < t->train_set.count ? t->config->batch_size : t->train_set.count;
    t->step_config.replay = t->config->replay_every > 0;
    t->step_config.recorded_exchange = trainer_recorded_exchange(t);
    t->step_config.network.plan = trainer_recorded_algorithms(t);
}

enum { ACTIVATION_FLOATS_PER_IMAGE = 250000 };

/* A lower bound: gradients and packed weights of each rank, weights and velocity once, activations; with a replay its gradient. What is
 * refused here would not have fitted; what passes may still not. */
static vgg_status check_memory(trainer *t)
{
    size_t flat_bytes = model_flat_count() * sizeof(float), available = cpu_memory_available_bytes();
    int capacity = training_step_capacity(t->c, &t->step_config);
    size_t flat_buffers = 2 + t->step_config.replay;
    size_t rank_bytes = flat_buffers * flat_bytes + (size_t)capacity * ACTIVATION_FLOATS_PER_IMAGE * sizeof(float);
    size_t needed = 2 * flat_bytes + (size_t)comm_node_size(t->c) * rank_bytes;
    t->room_bytes = available == 0 ? SIZE_MAX : size_max(available, needed) - needed;
    if (available == 0 || needed <= available) return VGG_OK;
    return vgg_fail(
        VGG_UNAVAILABLE,
        "%s: %d ranks with %d images each need at least %zu MiB of memory, and %zu MiB are free; use fewer ranks or a smaller --batch-size",
        comm_host(t->c), comm_node_size(t->c), capacity, needed >> 20, available >> 20);
}

/* Of one rank: what it maps itself and what it shares count alike, and so do the libraries' own needs while they run. */
static vgg_status check_address_space(trainer *t)
{
    enum { LIBRARIES_BYTES = 64 << 20 };
    size_t flat_buffers = 4 + t->step_config.replay;
    size_t left = cpu_address_space_left_bytes(), needed = LIBRARIES_BYTES + flat_buffers * model_flat_count() * sizeof(float);
    needed += (size_t)training_step_capacity(t->c, &t->step_config) * ACTIVATION_FLOATS_PER_IMAGE * sizeof(float);
    if (needed <= left) return VGG_OK;
    return vgg_fail(
        VGG_UNAVAILABLE,
        "rank %d on %s needs at least %zu MiB more of address space, and its limit (ulimit -v) leaves %zu MiB; raise the limit",
        comm_rank(t->c), comm_host(t->c), needed >> 20, left >> 20);
}

static void log_plan(void *context, const char *line)
{
    (void)context;
    vgg_log(VGG_LOG_DEBUG, "%s", line);
}

/* Timing takes some seconds, in which the program prints nothing else. */
static void tell_tuning(const network_config *config)
{
    bool kept = config->plan_cache && !config->retune && access(config->plan_cache, R_OK) == 0;
    if (!config->tune || config->plan || kept) return;
    vgg_log(VGG_LOG_INFO, "timing the algorithms for this machine; the outcome is kept in %s",
            config->plan_cache ? config->plan_cache : "no file (--plan-cache)");
}

static vgg_status open_step(trainer *t)
{
    tell_tuning(&t->step_config.network);
    VGG_TRY(training_step_open(t->c, &t->step_config, &t->step));
    network_algorithms(t->step.net, t->algorithms);
    network_describe(t->step.net, log_plan, NULL);
    return VGG_OK;
}

static vgg_status open_buffers(trainer *t)
{
    t->order = malloc(t->train_set.count * sizeof *t->order);
    t->reports = malloc((size_t)comm_size(t->c) * sizeof *t->reports);
    if (t->order && t->reports) return VGG_OK;
    return vgg_fail(VGG_UNAVAILABLE, "no memory for the order of %u images", t->train_set.count);
}

/* What a resumed run must have in common with the run before: else positions and sums in the checkpoint would mean something
 * else. */
static void write_data_fingerprint(trainer *t)
{
    const train_config *config = t->config;
    snprintf(t->data_fingerprint, sizeof t->data_fingerprint,
             "seed=%" PRIu64 " batch-size=%" PRIu32 " train-samples=%" PRIu32 " resize=%s normalize=%s resize-bug=%d shuffle=%d",
             config->seed, config->batch_size, t->train_set.count, config->data.resize, config->data.normalize,
             config->data.resize_bug, config->shuffle);
    size_t used = strlen(t->data_fingerprint);
    if (config->data.validation > 0)
        snprintf(t->data_fingerprint + used, sizeof t->data_fingerprint - used, " validation=%" PRIu32, config->data.validation);
    snprintf(t->data_digest, sizeof t->data_digest, "xxh3:%016" PRIx64, t->train.digest);
}

vgg_status trainer_open(trainer *t)
{
    t->schedule = schedule_find(t->config->schedule);
    VGG_TRY(open_data(t));
    count_steps(t);
    write_data_fingerprint(t);
    VGG_TRY(trainer_find_resume(t));
    configure_step(t);
    VGG_TRY(comm_agree(t->c, check_memory(t)));
    VGG_TRY(comm_agree(t->c, check_address_space(t)));
    VGG_TRY(open_step(t));
    VGG_TRY(comm_agree(t->c, open_buffers(t)));
    VGG_TRY(trainer_start_weights(t));
    network_prepare(t->step.net, exchange_weights(t->step.ex));
    VGG_TRY(trainer_trace_open(t));
    bool saves = t->config->output && (t->config->checkpoint_every > 0 || t->config->checkpoint_steps > 0);
    if (saves && t->config->background_saves && comm_rank(t->c) == 0) saver_open(&t->saver, t->room_bytes);
    return VGG_OK;
}

void trainer_close(trainer *t)
{
    saver_close(&t->saver);
    trainer_trace_close(t);
    free(t->places);
    free(t->order);
    free(t->reports);
    training_step_close(&t->step);
    shared_dataset_close(&t->test);
    shared_dataset_close(&t->train);
}

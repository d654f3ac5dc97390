/* A run's initial weights, the check of the weights, and checkpoints. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "train/trainer_impl.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/log.h"
#include "vgg11/nn/initialize.h"
#include "vgg11/train/watchdog.h"

static checkpoint_state state_of(trainer *t)
{
    return (checkpoint_state){.position = t->position,
                              .seed = t->config->seed,
                              .ranks = comm_size(t->c),
                              .threads = t->config->step.network.threads,
                              .micro_batches = t->config->step.exchange.micro_batches,
                              .pixel_mean = t->pixels.mean,
                              .pixel_deviation = t->pixels.deviation,
                              .config_json = (char *)t->config->config_json,
                              .data_fingerprint = t->data_fingerprint,
                              .data_digest = t->data_digest,
                              .tuning_fingerprint = t->tuning_fingerprint,
                              .exchange = (char *)exchange_name(t->step.ex),
                              .algorithms = t->algorithms};
}

static vgg_status check_fit(const trainer *t, const char *path, const checkpoint_state *state)
{
    if (strcmp(state->data_fingerprint, t->data_fingerprint) != 0)
        return vgg_fail(VGG_BAD_CHECKPOINT, "%s: was made with %s, and this run has %s", path, state->data_fingerprint,
                        t->data_fingerprint);
    if (*state->data_digest && strcmp(state->data_digest, t->data_digest) != 0)
        return vgg_fail(VGG_BAD_CHECKPOINT,
                        "%s: was made with other training images or labels than those found now (digest %s, now %s)", path,
                        state->data_digest, t->data_digest);
    const run_position *at = &state->position;
    uint64_t expected = (uint64_t)at->epoch * t->steps_per_epoch + at->epoch_step;
    if (at->epoch_step <= t->steps_per_epoch && at->step == expected) return VGG_OK;
    return vgg_fail(VGG_BAD_CHECKPOINT, "%s: contradicts itself: %" PRIu64 " steps done, but %u epochs of %u steps and %u more",
                    path, at->step, at->epoch, t->steps_per_epoch, at->epoch_step);
}

vgg_status trainer_load(trainer *t, const char *path)
{
    checkpoint_state state = {0};
    vgg_status status = checkpoint_load(path, &state, exchange_weights(t->step.ex), exchange_velocity(t->step.ex));
    if (status == VGG_OK) status = check_fit(t, path, &state);
    if (status == VGG_OK) t->position = state.position;
    checkpoint_state_clear(&state);
    return status;
}

/* On rank 0. */
static vgg_status load_resumed(trainer *t)
{
    VGG_TRY(trainer_load(t, t->resumed_from.path));
    vgg_log(VGG_LOG_INFO, "resumed from %s at step %" PRIu64, t->resumed_from.path, t->position.step);
    trainer_tell_differences(t);
    return VGG_OK;
}

void trainer_share_state(trainer *t, bool velocity)
{
    comm_broadcast(t->c, &t->position, sizeof t->position, 0);
    exchange_distribute(t->step.ex, exchange_weights(t->step.ex));
    if (velocity) exchange_distribute(t->step.ex, exchange_velocity(t->step.ex));
}

vgg_status trainer_start_weights(trainer *t)
{
    vgg_status status = VGG_OK;
    bool first = comm_rank(t->c) == 0;
    if (first && t->config->resume)
        status = load_resumed(t);
    else if (first)
        initializer_find(t->config->init)->fill(t->config->seed, exchange_weights(t->step.ex));
    VGG_TRY(comm_agree(t->c, status));
    trainer_share_state(t, t->config->resume != NULL);
    return VGG_OK;
}

vgg_status trainer_check(trainer *t)
{
    VGG_TRY(exchange_check(t->step.ex));
    const char *layer = network_check(t->step.net, exchange_weights(t->step.ex));
    vgg_status status = VGG_OK;
    if (layer)
        status = vgg_fail(VGG_DISAGREE,
                          "rank %d (counted from 0) computed %s with other weights than all ranks hold; suspect its memory, and "
                          "resume from the last checkpoint",
                          comm_rank(t->c), layer);
    return comm_agree(t->c, status);
}

/* The new checkpoint is there: what cannot be done about older ones is no reason to end. */
static void prune(trainer *t, const char *newest)
{
    size_t passed_over = 0;
    if (checkpoint_prune(t->config->output, t->config->keep, newest, t->config->spared, &passed_over) != VGG_OK)
        vgg_log(VGG_LOG_WARNING, "%s", vgg_message());
    if (passed_over > t->passed_over)
        vgg_log(VGG_LOG_WARNING, "%s: %zu are named like checkpoints and are none; --keep neither counts nor removes them",
                t->config->output, passed_over);
    t->passed_over = passed_over;
}

static vgg_status save_periodic(trainer *t, const checkpoint_state *state, char path[CHECKPOINT_PATH_MAX])
{
    double start = clock_now_s();
    uint64_t bytes = 0;
    checkpoint_path(t->config->output, t->position.step, path);
    VGG_TRY(checkpoint_save(path, state, exchange_weights(t->step.ex), exchange_velocity(t->step.ex), &bytes));
    run_checkpoint_event event = {t->position.step, path, bytes, clock_now_s() - start};
    TRAINER_TELL(t, checkpoint, &event);
    prune(t, path);
    return VGG_OK;
}

static vgg_status save_best(trainer *t, const checkpoint_state *state, const char *same)
{
    char path[CHECKPOINT_PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/best.safetensors", t->config->output);
    if (length >= (int)sizeof path) return vgg_fail(VGG_IO_ERROR, "%s: name is too long", t->config->output);
    if (same && checkpoint_alias(same, path) == VGG_OK) return VGG_OK;
    return checkpoint_save(path, state, exchange_weights(t->step.ex), exchange_velocity(t->step.ex), NULL);
}

/* Of what all ranks agreed on. There may be room again when the next checkpoint is due, and the older ones are untouched. */
static vgg_status go_on_unsaved(trainer *t, vgg_status status, bool best)
{
    if (status != VGG_IO_ERROR) return status;
    vgg_log(VGG_LOG_WARNING, "%s; the run goes on, and saves again when the next checkpoint is due", vgg_message());
    if (best) t->position.best_accuracy = t->best_before;
    return VGG_OK;
}

vgg_status trainer_save(trainer *t, bool periodic, bool best, bool last)
{
    vgg_status status = VGG_OK;
    if (!t->config->output || (!periodic && !best)) return VGG_OK;
    watchdog_enter(WATCHDOG_CHECKPOINT);
    exchange_collect(t->step.ex, exchange_weights(t->step.ex));
    exchange_collect(t->step.ex, exchange_velocity(t->step.ex));
    VGG_TRY(trainer_check(t));
    if (comm_rank(t->c) == 0) {
        char path[CHECKPOINT_PATH_MAX];
        checkpoint_state state = state_of(t);
        if (periodic) status = save_periodic(t, &state, path);
        if (status == VGG_OK && best) status = save_best(t, &state, periodic ? path : NULL);
    }
    watchdog_enter(WATCHDOG_CHECKPOINT); /* the others are here before the rank that writes */
    status = comm_agree(t->c, status);
    return last ? status : go_on_unsaved(t, status, best);
}

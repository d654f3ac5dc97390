/* A run's initial weights, the check of the weights, and checkpoints. */
#include <inttypes.h>
#include <string.h>

#include "train/trainer_impl.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/log.h"
#include "vgg11/checkpoint/weight_file.h"
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

/* Digests name their hash before a colon; version 1.0 and before, which had one of their own, named none. */
static bool same_hash(const char *digest, const char *other)
{
    size_t name = strcspn(digest, ":");
    return name == strcspn(other, ":") && strncmp(digest, other, name) == 0;
}

static vgg_status check_data(const trainer *t, const char *path, const checkpoint_state *state)
{
    if (!*state->data_digest || strcmp(state->data_digest, t->data_digest) == 0) return VGG_OK;
    if (same_hash(state->data_digest, t->data_digest))
        return vgg_fail(VGG_BAD_CHECKPOINT,
                        "%s: was made with other training images or labels than those found now (digest %s, now %s)", path,
                        state->data_digest, t->data_digest);
    vgg_log(VGG_LOG_WARNING, "%s: its digest of the training images is of another version and is not compared", path);
    return VGG_OK;
}

static vgg_status check_fit(const trainer *t, const char *path, const checkpoint_state *state)
{
    if (strcmp(state->data_fingerprint, t->data_fingerprint) != 0)
        return vgg_fail(VGG_BAD_CHECKPOINT, "%s: was made with %s, and this run has %s", path, state->data_fingerprint,
                        t->data_fingerprint);
    VGG_TRY(check_data(t, path, state));
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

/* On rank 0. */
static vgg_status load_initial(trainer *t)
{
    const weight_format *format;
    VGG_TRY(weight_file_read(t->config->init_from, exchange_weights(t->step.ex), &format));
    vgg_log(VGG_LOG_INFO, "begins with the weights of %s (format %s)", t->config->init_from, format->name);
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
    else if (first && t->config->init_from)
        status = load_initial(t);
    else if (first)
        initializer_find(t->config->init)->fill(t->config->seed, exchange_weights(t->step.ex));
    VGG_TRY(comm_agree(t->c, status));
    trainer_share_state(t, t->config->resume != NULL);
    return VGG_OK;
}

static vgg_status check_copies(trainer *t)
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

vgg_status trainer_check(trainer *t)
{
    double start = span_start(t->step.spans);
    vgg_status status = check_copies(t);
    span_end(t->step.spans, start, "check copies");
    return status;
}

/* The new checkpoint is there: what cannot be done about older ones is no reason to end. */
static void tell_pruning(trainer *t, const save_job *job)
{
    if (job->pruned != VGG_OK) vgg_log(VGG_LOG_WARNING, "%s", job->prune_message.text);
    if (job->passed_over > t->passed_over)
        vgg_log(VGG_LOG_WARNING, "%s: %zu are named like checkpoints and are none; --keep neither counts nor removes them",
                t->config->output, job->passed_over);
    t->passed_over = job->passed_over;
}

/* On rank 0: true if a thread saves, beside the training. */
static bool begin_save(trainer *t, bool periodic, bool best, bool last)
{
    const train_config *config = t->config;
    t->saver.job = (save_job){.folder = config->output,
                              .keep = config->keep,
                              .spared = config->spared,
                              .periodic = periodic,
                              .best = best,
                              .state = state_of(t),
                              .weights = exchange_weights(t->step.ex),
                              .velocity = exchange_velocity(t->step.ex)};
    return saver_start(&t->saver, !last, t->step.threads);
}

/* On rank 0. */
static vgg_status end_save(trainer *t)
{
    const save_job *job = &t->saver.job;
    saver_wait(&t->saver);
    if (job->saved) {
        run_checkpoint_event event = {.step = job->state.position.step,
                                      .path = job->path,
                                      .bytes = job->bytes,
                                      .save_s = job->ended_s - job->begun_s,
                                      .stall_s = t->saver.stall_s,
                                      .since_s = clock_now_s() - job->ended_s};
        span_add(t->step.spans, SPAN_SAVING, "checkpoint", NULL, job->begun_s, job->ended_s, (span_work){0});
        TRAINER_TELL(t, checkpoint, &event);
        tell_pruning(t, job);
    }
    if (job->status != VGG_OK) vgg_restore_message(&job->message);
    return job->status;
}

/* Of what all ranks agreed on. There may be room again when the next checkpoint is due, and the older ones are untouched. */
static vgg_status go_on_unsaved(trainer *t, vgg_status status)
{
    if (status != VGG_IO_ERROR) return status;
    vgg_log(VGG_LOG_WARNING, "%s; the run goes on, and saves again when the next checkpoint is due", vgg_message());
    if (t->saving_best) t->position.best_accuracy = t->best_before;
    return VGG_OK;
}

/* Collective. Waits for the save under way, and reports how it went. */
static vgg_status settle(trainer *t, bool last)
{
    double start = span_start(t->step.spans);
    t->saving = false;
    watchdog_enter(WATCHDOG_CHECKPOINT);
    vgg_status status = comm_rank(t->c) == 0 ? end_save(t) : VGG_OK;
    watchdog_enter(WATCHDOG_CHECKPOINT); /* the others are here before the rank that waits */
    status = comm_agree(t->c, status);
    span_end(t->step.spans, start, "wait for checkpoint");
    return last ? status : go_on_unsaved(t, status);
}

vgg_status trainer_settle_save(trainer *t) { return t->saving ? settle(t, false) : VGG_OK; }

static vgg_status save(trainer *t, bool periodic, bool best, bool last)
{
    VGG_TRY(trainer_settle_save(t));
    watchdog_enter(WATCHDOG_CHECKPOINT);
    exchange_collect(t->step.ex, exchange_weights(t->step.ex));
    exchange_collect(t->step.ex, exchange_velocity(t->step.ex));
    VGG_TRY(trainer_check(t));
    bool beside = comm_rank(t->c) == 0 && begin_save(t, periodic, best, last);
    watchdog_enter(WATCHDOG_CHECKPOINT); /* the others are here before the rank that copies or writes */
    t->saving = true;
    t->saving_best = best;
    return comm_any(t->c, beside) ? VGG_OK : settle(t, last);
}

vgg_status trainer_save(trainer *t, bool periodic, bool best, bool last)
{
    if (!t->config->output || (!periodic && !best)) return VGG_OK;
    double start = span_start(t->step.spans);
    vgg_status status = save(t, periodic, best, last);
    span_end(t->step.spans, start, "checkpoint");
    return status;
}

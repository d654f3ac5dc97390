/* Numbers that are not finite: where they began, steps that change nothing because of them, and the way back to a checkpoint; and numbers
 * that are others when they are computed again. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "train/trainer_impl.h"
#include "vgg11/base/finite.h"
#include "vgg11/base/log.h"
#include "vgg11/train/watchdog.h"

enum { ORIGIN_BYTES = 96 };

/* Places in the order in which such numbers pass from one to the next. */
enum { IN_WEIGHTS, IN_OUTPUTS, IN_GRADIENT, NOWHERE };

static uint64_t origin_at(int place, size_t tensor) { return (uint64_t)place * MODEL_TENSORS + tensor; }

/* The earliest place that this rank sees. Of outputs there are those of its last micro-batch. */
static uint64_t find_own_origin(const trainer *t)
{
    const tensor_view *tensors = model_tensors();
    const float *weights = exchange_weights(t->step.ex);
    for (size_t i = 0; i < MODEL_TENSORS; i++)
        if (!finite_floats(weights + tensors[i].offset, tensors[i].count)) return origin_at(IN_WEIGHTS, i);
    int layer = network_first_not_finite(t->step.net);
    if (layer < MODEL_LAYERS) return origin_at(IN_OUTPUTS, 2 * (size_t)layer);
    if (!t->clip.not_finite) return origin_at(NOWHERE, 0);
    return origin_at(IN_GRADIENT, MODEL_TENSORS - 1 - (size_t)(t->clip.not_finite - tensors));
}

/* Collective. ", and numbers that are not finite began in the output of conv3 on rank 1": the earliest place of all ranks; "" where none
 * sees any. */
static void describe_origin(trainer *t, char text[ORIGIN_BYTES])
{
    uint64_t ranks = (uint64_t)comm_size(t->c), latest = UINT64_MAX - (find_own_origin(t) * ranks + (uint64_t)comm_rank(t->c));
    comm_max_u64(t->c, &latest, 1);
    uint64_t first = (UINT64_MAX - latest) / ranks, rank = (UINT64_MAX - latest) % ranks, tensor = first % MODEL_TENSORS;
    const char *found = ", and numbers that are not finite began in";
    const tensor_view *tensors = model_tensors();
    *text = '\0';
    if (first / MODEL_TENSORS == IN_WEIGHTS)
        snprintf(text, ORIGIN_BYTES, "%s the weights %s", found, tensors[tensor].name);
    else if (first / MODEL_TENSORS == IN_OUTPUTS)
        snprintf(text, ORIGIN_BYTES, "%s the output of %s on rank %" PRIu64, found, model_layers[tensor / 2].name, rank);
    else if (first / MODEL_TENSORS == IN_GRADIENT)
        snprintf(text, ORIGIN_BYTES, "%s the gradient of %s", found, tensors[MODEL_TENSORS - 1 - tensor].name);
}

vgg_status trainer_advise(trainer *t, vgg_status status)
{
    char origin[ORIGIN_BYTES] = "";
    if (status != VGG_DIVERGED) return status;
    if (!divergence_ran_away(&t->divergence)) describe_origin(t, origin);
    return vgg_fail(VGG_DIVERGED, "%s; the learning rate was %g%s; lower --lr%s", vgg_message(), t->lr, origin,
                    t->config->optimizer.clip_norm > 0 ? "" : " or set --clip-norm");
}

vgg_status trainer_skip_step(trainer *t, double loss)
{
    char origin[ORIGIN_BYTES];
    uint64_t step = t->position.step + 1, most = t->config->skip_bad_steps;
    training_step_discard(&t->step);
    t->bad_in_row++;
    if (t->bad_in_row > most)
        return vgg_fail(VGG_DIVERGED, "training diverged: loss %g, gradient norm %g at step %" PRIu64 "%s", loss, t->clip.norm,
                        step, most > 0 ? ", after as many such steps as --skip-bad-steps allows" : "");
    describe_origin(t, origin);
    vgg_log(VGG_LOG_WARNING,
            "step %" PRIu64 " changes nothing: loss %g, gradient norm %g; the learning rate was %g%s (%" PRIu64
            " in a row, --skip-bad-steps %" PRIu64 ")",
            step, loss, t->clip.norm, t->lr, origin, t->bad_in_row, most);
    return VGG_OK;
}

/* On rank 0. */
static vgg_status load_newest(trainer *t, char path[CHECKPOINT_PATH_MAX])
{
    VGG_TRY(checkpoint_find_newest(t->config->output, path));
    return trainer_load(t, path);
}

bool trainer_go_back(trainer *t)
{
    char path[CHECKPOINT_PATH_MAX] = "";
    run_rollback_event event = {.from_step = t->position.step, .path = path};
    if (t->config->skip_bad_steps == 0 || !t->config->output || divergence_ran_away(&t->divergence)) return false;
    vgg_kept_message reason = vgg_keep_message();
    watchdog_enter(WATCHDOG_CHECKPOINT);
    vgg_status status = comm_agree(t->c, comm_rank(t->c) == 0 ? load_newest(t, path) : VGG_OK);
    vgg_restore_message(&reason);
    if (status != VGG_OK) return false;
    trainer_share_state(t, true);
    network_prepare(t->step.net, exchange_weights(t->step.ex));
    t->divergence = (divergence_watch){0};
    t->bad_in_row = 0;
    event.step = t->position.step;
    vgg_log(VGG_LOG_WARNING, "%s. The run goes back to step %" PRIu64 ", this once: %s", vgg_message(), event.step, path);
    TRAINER_TELL(t, rollback, &event);
    return true;
}

int trainer_replayed_micro_batch(const trainer *t)
{
    uint64_t step = t->position.step + 1, every = t->config->replay_every;
    if (every == 0 || step % every != 0) return -1;
    return (int)(step / every % (uint64_t)training_step_micro_batches(&t->step));
}

vgg_status trainer_check_replay(trainer *t, const char *differs)
{
    vgg_status mine = VGG_OK;
    if (*differs)
        mine = vgg_fail(
            VGG_DISAGREE,
            "rank %d (counted from 0) on %s computed %s of step %" PRIu64
            " twice, with other bits the second time; suspect processor or memory there, and resume from the last checkpoint",
            comm_rank(t->c), comm_host(t->c), differs, t->position.step + 1);
    double start = span_start(t->step.spans);
    mine = comm_agree(t->c, mine);
    span_end(t->step.spans, start, "agree on replay");
    return mine;
}

/* The training loop. */
#include "vgg11/train/trainer.h"

#include <math.h>
#include <stdio.h>

#include "train/mistakes.h"
#include "train/trainer_impl.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/cpu.h"
#include "vgg11/base/log.h"
#include "vgg11/comm/replica.h"
#include "vgg11/data/sampler.h"
#include "vgg11/train/stop_signal.h"
#include "vgg11/train/watchdog.h"

static void fill_micro_batch(trainer *t, vgg_range batch, int index)
{
    double start = span_start(t->step.spans);
    vgg_range images = training_step_images(&t->step, index);
    const uint32_t *order = t->order + batch.first + images.first;
    t->augment.epoch = t->position.epoch;
    batch_fill_augmented(&t->train_set, &t->pixels, &t->augment, order, (uint32_t)images.count, network_input(t->step.net),
                         t->step.labels);
    span_end(t->step.spans, start, "input");
}

static void add_loss(step_report *report, loss_result loss)
{
    report->loss_sum += loss.loss_sum;
    report->correct += loss.correct;
}

/* Adds up the ranks' reports in rank order, so that all ranks get the same bits. The learning rate is rank 0's. */
static void share_reports(trainer *t, step_report *report)
{
    const step_report *all = t->reports;
    double start = span_start(t->step.spans);
    report->stop = stop_signal_seen();
    report->saved = saver_has_ended(&t->saver);
    comm_gather_all(t->c, report, sizeof *report, t->reports);
    *report = all[0];
    for (int rank = 1; rank < comm_size(t->c); rank++) {
        report->loss_sum += all[rank].loss_sum;
        report->correct += all[rank].correct;
        if (report->stop == 0) report->stop = all[rank].stop;
        report->bad |= all[rank].bad;
    }
    span_end(t->step.spans, start, "agree on step");
}

static void count_step(trainer *t, const step_report *report, uint32_t samples)
{
    if (t->position.epoch_step == 0) {
        t->position.epoch_loss_sum = 0;
        t->position.epoch_correct = t->position.epoch_samples = 0;
    }
    t->position.step++;
    t->position.epoch_step++;
    t->position.epoch_loss_sum += report->loss_sum;
    t->position.epoch_correct += report->correct;
    t->position.epoch_samples += samples;
    t->images += samples;
}

/* The mean over the epoch's samples so far; `sum` is their sum. */
static double epoch_mean(const trainer *t, double sum)
{
    return t->position.epoch_samples > 0 ? sum / (double)t->position.epoch_samples : NAN;
}

static void add_times(trainer *t, const training_step_times *times)
{
    t->train_s += times->step_s;
    t->exchange_s += times->exchange_s;
    t->steps++;
}

static void tell_step(trainer *t, const step_report *report)
{
    const training_step_times *times = &t->step.times;
    double samples = (double)t->step.images, update_s = times->update_s + times->prepare_s;
    run_step_event event = {.step = t->position.step,
                            .epoch = t->position.epoch + 1,
                            .samples = (uint32_t)t->step.images,
                            .loss = report->loss_sum / samples,
                            .accuracy = report->correct / samples,
                            .epoch_loss = epoch_mean(t, t->position.epoch_loss_sum),
                            .epoch_accuracy = epoch_mean(t, (double)t->position.epoch_correct),
                            .lr = report->lr,
                            .grad_norm = t->clip.norm,
                            .clip_scale = t->clip.smallest_scale,
                            .step_s = times->step_s,
                            .compute_s = times->step_s - times->exchange_s - update_s,
                            .exchange_s = times->exchange_s,
                            .update_s = update_s};
    double start = span_start(t->step.spans);
    TRAINER_TELL(t, step, &event);
    span_end(t->step.spans, start, "report");
}

/* A check is due after every so many steps, and once more before the next update: what the first check found must still be
 * there. */
static bool check_is_due(const trainer *t) { return t->config->check_every > 0 && t->position.step % t->config->check_every == 0; }

/* Where each rank updates a part of the weights, a part updated with a wrong factor of clipping would become the same on all
 * copies. So the factors are compared, too. */
static vgg_status check_step(trainer *t)
{
    double start = span_start(t->step.spans);
    vgg_status status = replica_check(t->c, "factors of clipping", t->clip.scale, MODEL_TENSORS, 1);
    span_end(t->step.spans, start, "check factors");
    return status == VGG_OK ? trainer_check(t) : status;
}

/* The step counts, and its images do not. The factors of clipping may well differ: none was used. */
static vgg_status skip_step(trainer *t, const step_report *report)
{
    double loss = report->loss_sum / (double)t->step.images, start = span_start(t->step.spans);
    vgg_status status = trainer_skip_step(t, loss);
    span_end(t->step.spans, start, "skip");
    if (status != VGG_OK) return status;
    count_step(t, &(step_report){0}, 0);
    add_times(t, &t->step.times);
    t->skipped++;
    run_skip_event event = {.step = t->position.step,
                            .epoch = t->position.epoch + 1,
                            .loss = loss,
                            .grad_norm = t->clip.norm,
                            .lr = report->lr,
                            .in_row = t->bad_in_row,
                            .step_s = t->step.times.step_s,
                            .exchange_s = t->step.times.exchange_s};
    TRAINER_TELL(t, skip, &event);
    return check_is_due(t) ? trainer_check(t) : VGG_OK;
}

static vgg_status use_step(trainer *t, const step_report *report)
{
    uint32_t samples = (uint32_t)t->step.images;
    training_step_update(&t->step, &t->config->optimizer, &t->clip, report->lr);
    t->bad_in_row = 0;
    VGG_TRY(divergence_check(&t->divergence, t->position.step + 1, report->loss_sum / (double)samples));
    count_step(t, report, samples);
    add_times(t, &t->step.times);
    tell_step(t, report);
    return check_is_due(t) ? check_step(t) : VGG_OK;
}

/* One step, as DESIGN.md has it: forward, backward, mean over ranks, norm, clip, Nesterov. Whether the last is done, all ranks decide
 * by the same reports. */
static vgg_status train_step(trainer *t)
{
    vgg_range batch = sampler_batch(t->train_set.count, t->config->batch_size, t->position.epoch_step);
    step_report report = {.lr = schedule_rate(t->schedule, t->config->lr, t->warmup_steps, t->schedule_steps, t->position.step)};

    int replayed = trainer_replayed_micro_batch(t);
    char differs[TRAINING_STEP_RESULT_BYTES] = "";

    watchdog_step(t->position.step + 1);
    watchdog_enter(WATCHDOG_PASSES);
    training_step_begin(&t->step, batch.count);
    for (int i = 0; i < training_step_micro_batches(&t->step); i++) {
        fill_micro_batch(t, batch, i);
        add_loss(&report, i == replayed ? training_step_replay(&t->step, i, differs) : training_step_forward_backward(&t->step, i));
        watchdog_move();
    }
    watchdog_enter(WATCHDOG_EXCHANGE);
    training_step_allreduce(&t->step);
    if (replayed >= 0) VGG_TRY(trainer_check_replay(t, differs));
    if (check_is_due(t)) VGG_TRY(trainer_check(t));
    t->clip = training_step_clip(&t->step, &t->config->optimizer);
    report.bad = !optimizer_clip_is_finite(&t->clip);
    share_reports(t, &report);
    t->lr = report.lr;
    t->stop = report.stop;
    t->save_ended = report.saved;
    watchdog_enter(WATCHDOG_UPDATE);
    return report.bad || !isfinite(report.loss_sum) ? skip_step(t, &report) : use_step(t, &report);
}

static vgg_status traced_step(trainer *t)
{
    trainer_trace_step(t);
    double start = span_start(t->step.spans);
    vgg_status status = train_step(t);
    span_end(t->step.spans, start, "step");
    return status;
}

static void tell_evaluation(const trainer *t, double eval_s, bool best)
{
    if (comm_rank(t->c) != 0 || t->config->observer_count == 0) return;
    run_mistake told[EVALUATION_MISTAKES];
    mistakes_tell(&t->last_eval.mistakes, &t->evaluation_set, told);
    bool within = t->position.epoch_step > 0;
    run_eval_event event = {.epoch = t->position.epoch + within,
                            .step = t->position.step,
                            .train_loss = epoch_mean(t, t->position.epoch_loss_sum),
                            .train_accuracy = epoch_mean(t, (double)t->position.epoch_correct),
                            .test_loss = t->last_eval.loss,
                            .test_accuracy = t->last_eval.accuracy,
                            .samples = (uint32_t)t->last_eval.samples,
                            .eval_s = eval_s,
                            .train_s = t->train_s,
                            .best = best,
                            .confusion = &t->last_eval.confusion[0][0],
                            .classes = DATASET_CLASSES,
                            .mistakes = told,
                            .mistake_count = (int)t->last_eval.mistakes.count};
    TRAINER_TELL(t, eval, &event);
    mistakes_forget(told);
}

static vgg_status evaluate(trainer *t, bool *best)
{
    double start = clock_now_s();
    evaluation result;
    VGG_TRY(evaluate_run(t->c, t->step.net, exchange_weights(t->step.ex), &t->evaluation_set, &t->pixels,
                         (uint32_t)t->step.capacity, &result));
    t->last_eval = result;
    t->position.evaluated_step = t->position.step;
    if (!isfinite(t->last_eval.loss))
        return vgg_fail(VGG_DIVERGED, "training diverged: loss is %g in the evaluation at step %llu", t->last_eval.loss,
                        (unsigned long long)t->position.step);
    t->best_before = t->position.best_accuracy;
    *best = t->last_eval.accuracy > t->position.best_accuracy;
    if (*best) t->position.best_accuracy = t->last_eval.accuracy;
    tell_evaluation(t, clock_now_s() - start, *best);
    return VGG_OK;
}

/* One span: that of each layer in each batch would be most of the trace. */
static vgg_status evaluate_traced(trainer *t, bool *best)
{
    double start = span_start(t->step.spans);
    network_trace(t->step.net, NULL);
    vgg_status status = evaluate(t, best);
    network_trace(t->step.net, t->step.spans);
    span_end(t->step.spans, start, "evaluation");
    return status;
}

/* A run that is told to stop gives the evaluation up within a batch; the resumed run makes up for it. */
static vgg_status evaluate_unless_stopped(trainer *t, bool *best)
{
    if (t->stop) return VGG_OK;
    watchdog_enter(WATCHDOG_EVALUATION);
    VGG_TRY(trainer_check(t));
    vgg_status status = evaluate_traced(t, best);
    if (status != VGG_STOPPED) return status;
    t->stop = stop_signal_agree(t->c);
    return VGG_OK;
}

static void begin_next_epoch(trainer *t)
{
    t->position.epoch++;
    t->position.epoch_step = 0;
}

/* All ranks have counted the same correct images, so they end at the same step; and so does a run that goes on from there. */
static bool has_reached_target(const trainer *t)
{
    double target = t->config->target_accuracy;
    return target > 0 && t->position.best_accuracy >= target;
}

static bool is_over(const trainer *t) { return t->position.step >= t->steps_total || has_reached_target(t); }

static bool evaluation_is_due(const trainer *t)
{
    const run_position *at = &t->position;
    uint64_t every = t->config->eval_every;
    return at->epoch_step == t->steps_per_epoch || at->step == t->steps_total || (every > 0 && at->step % every == 0);
}

/* Whether a checkpoint is due after the step just done. A run that writes any also writes one after its last step. */
static bool save_is_due(const trainer *t, bool epoch_ended)
{
    const train_config *config = t->config;
    bool by_epoch = config->checkpoint_every > 0, by_step = config->checkpoint_steps > 0;
    if (is_over(t)) return by_epoch || by_step;
    return (by_epoch && epoch_ended && t->position.epoch % config->checkpoint_every == 0) ||
           (by_step && t->position.step % config->checkpoint_steps == 0);
}

static vgg_status say_stopped(const trainer *t)
{
    unsigned long long step = t->position.step;
    const char *by = stop_signal_name(t->stop);
    if (!t->config->output) return vgg_fail(VGG_STOPPED, "stopped by %s after step %llu", by, step);
    return vgg_fail(VGG_STOPPED, "stopped by %s after step %llu, saved in %s; run again with --resume to go on", by, step,
                    t->config->output);
}

static void tell_target(const trainer *t)
{
    if (comm_rank(t->c) != 0 || !has_reached_target(t)) return;
    vgg_log(VGG_LOG_INFO, "reached --target-accuracy %g with %.2f %% after %llu steps, %.1f s of training in this process",
            t->config->target_accuracy, 100 * t->position.best_accuracy, (unsigned long long)t->position.step, t->train_s);
}

/* Evaluates where that is due, saves what is due, and ends the run if it was told to stop: then all is saved,
 * since a stopped run goes on from there. An epoch is over when it is evaluated. */
static vgg_status finish_step(trainer *t)
{
    bool epoch_ended = t->position.epoch_step == t->steps_per_epoch, best = false;
    bool evaluates = evaluation_is_due(t); /* and compares with the best so far: by then it is known whether that is saved */
    if (evaluates || t->save_ended) VGG_TRY(trainer_settle_save(t));
    if (evaluates) VGG_TRY(evaluate_unless_stopped(t, &best));
    if (epoch_ended && !t->stop) begin_next_epoch(t);
    bool last = is_over(t);
    if (last && !t->stop) tell_target(t);
    VGG_TRY(trainer_save(t, t->stop || save_is_due(t, epoch_ended), best && t->config->checkpoint_every > 0, t->stop || last));
    return t->stop ? say_stopped(t) : VGG_OK;
}

static vgg_status train_epoch(trainer *t)
{
    uint32_t epoch = t->position.epoch;
    sampler_order(t->config->seed, epoch, t->config->shuffle, t->order, t->train_set.count);
    while (t->position.epoch == epoch && !is_over(t)) {
        VGG_TRY(traced_step(t));
        VGG_TRY(finish_step(t));
    }
    return VGG_OK;
}

/* Nothing has been written until here, so that a run that was refused has changed nothing. */
static vgg_status begin(trainer *t)
{
    const train_config *config = t->config;
    run_start_event event = {.step = t->position.step,
                             .epoch = t->position.epoch,
                             .epochs = t->config->epochs,
                             .steps_total = t->steps_total,
                             .steps_per_epoch = t->steps_per_epoch,
                             .train_samples = t->train_set.count,
                             .test_samples = t->evaluation_set.count,
                             .evaluated_on = t->places ? "validation" : "test",
                             .batch_size = t->config->batch_size,
                             .ranks = comm_size(t->c),
                             .threads = t->step.threads,
                             .exchange = exchange_reason(t->step.ex),
                             .algorithms = t->algorithms,
                             .startup_s = clock_process_age_s()};
    bool asked = comm_rank(t->c) == 0 && config->begin;
    VGG_TRY(comm_agree(t->c, asked ? config->begin(config->begin_context, &event) : VGG_OK));
    TRAINER_TELL(t, start, &event);
    return VGG_OK;
}

/* Tells the observers, and returns `status` with its message, which a failure of an observer may have overwritten. */
static vgg_status tell_end(trainer *t, vgg_status status)
{
    char message[VGG_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s", status == VGG_OK ? "" : vgg_message());
    trainer_trace_end(t);
    uint64_t peak = cpu_memory_peak_bytes();
    comm_max_u64(t->c, &peak, 1);
    double steps = t->steps > 0 ? (double)t->steps : 1;
    bool evaluated = t->last_eval.samples > 0, any = isfinite(t->last_eval.loss) && evaluated;
    run_end_event event = {.status = (int)status,
                           .message = message,
                           .step = t->position.step,
                           .wall_s = clock_now_s() - t->started_s,
                           .train_s = t->train_s,
                           .step_s = t->train_s / steps,
                           .exchange_s = t->exchange_s / steps,
                           .steps = t->steps,
                           .skipped = t->skipped,
                           .images = t->images,
                           .best_accuracy = any || t->position.best_accuracy > 0 ? t->position.best_accuracy : NAN,
                           .final_accuracy = evaluated ? t->last_eval.accuracy : NAN,
                           .final_loss = evaluated ? t->last_eval.loss : NAN,
                           .memory_peak_bytes = peak};
    TRAINER_TELL(t, end, &event);
    return status == VGG_OK ? VGG_OK : vgg_fail(status, "%s", message);
}

/* Whether the run was stopped where it would have been evaluated, which is then left to this process. */
static bool is_unevaluated(const trainer *t)
{
    const run_position *at = &t->position;
    return at->epoch_step == t->steps_per_epoch || (at->step > 0 && at->evaluated_step != at->step && evaluation_is_due(t));
}

/* Nothing is under way when the run ends or goes back; what ends it is what is said of it. */
static vgg_status end_saves(trainer *t, vgg_status status)
{
    vgg_kept_message kept = vgg_keep_message();
    vgg_status saved = trainer_settle_save(t);
    if (status == VGG_OK) return saved;
    vgg_restore_message(&kept);
    return status;
}

/* From the position on to the end. */
static vgg_status train_on(trainer *t)
{
    vgg_status status = is_unevaluated(t) ? finish_step(t) : VGG_OK;
    while (status == VGG_OK && !is_over(t)) status = train_epoch(t);
    return end_saves(t, trainer_advise(t, status));
}

static vgg_status train_epochs(trainer *t)
{
    VGG_TRY(begin(t));
    vgg_status status = train_on(t);
    if (status == VGG_DIVERGED && trainer_go_back(t)) status = train_on(t);
    return tell_end(t, status);
}

/* A batch system starts a run again that ended a moment before its job did. */
static bool is_complete(const trainer *t)
{
    const train_config *config = t->config;
    if (!is_over(t) || is_unevaluated(t)) return false;
    if (has_reached_target(t))
        vgg_log(VGG_LOG_INFO, "nothing to do: the run of %s has reached --target-accuracy %g", t->resumed_from.path,
                config->target_accuracy);
    else if (t->position.epoch >= config->epochs)
        vgg_log(VGG_LOG_INFO, "nothing to do: %s has all %u epochs of the run; a larger --epochs would go on", t->resumed_from.path,
                config->epochs);
    else
        vgg_log(VGG_LOG_INFO, "nothing to do: %s is of step %llu, and --max-steps %llu ends the run", t->resumed_from.path,
                (unsigned long long)t->position.step, (unsigned long long)config->max_steps);
    return true;
}

vgg_status train_run(comm *c, const train_config *config)
{
    trainer t = {.c = c, .config = config, .started_s = clock_now_s()};
    stop_signal_watch();
    vgg_status status = trainer_open(&t);
    if (status == VGG_OK && !is_complete(&t)) status = train_epochs(&t);
    trainer_close(&t);
    stop_signal_unwatch();
    return status;
}

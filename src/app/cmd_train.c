/* train: from options to a run. */
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/plan_cache.h"
#include "app/run_folder.h"
#include "app/step_config.h"
#include "app/threads.h"
#include "app/command.h"
#include "vgg11/base/log.h"
#include "vgg11/report/progress.h"
#include "vgg11/report/recorder.h"
#include "vgg11/report/trace.h"
#include "vgg11/train/trainer.h"

enum { OBSERVERS_MAX = 4 };

/* What listens to a run; on rank 0 alone. */
typedef struct {
    recorder *recorder;
    progress *progress;
    trace *trace;
    run_observer list[OBSERVERS_MAX];
    int count;
} listeners;

/* For the configuration file, once the run knows how its gradients travel and what computes them. */
typedef struct {
    const options *options;
    const run_folder *folder;
} config_writer;

static void write_config(void *context, const run_start_event *event)
{
    const config_writer *writer = context;
    vgg_status status = run_folder_write_config(writer->folder, writer->options, event->ranks, event->threads, event);
    if (status != VGG_OK) vgg_log(VGG_LOG_WARNING, "%s", vgg_message());
}

static vgg_status open_listeners(const options *o, const run_folder *folder, const char *config_json, config_writer *writer,
                                 listeners *all)
{
    VGG_TRY(recorder_open(folder->path, folder->resume_step, config_json, &all->recorder));
    all->list[all->count++] = recorder_observer(all->recorder);
    VGG_TRY(progress_open(o->quiet ? "none" : o->progress, &all->progress));
    all->list[all->count++] = progress_observer(all->progress);
    if (o->trace) {
        VGG_TRY(trace_open(o->trace, &all->trace));
        all->list[all->count++] = trace_observer(all->trace);
    }
    all->list[all->count++] = (run_observer){.context = writer, .start = write_config};
    return VGG_OK;
}

static void close_listeners(listeners *all)
{
    progress_close(all->progress);
    trace_close(all->trace);
    recorder_close(all->recorder);
}

static train_config make_config(const options *o, const run_folder *folder, int threads, const char *plan_cache)
{
    return (train_config){
        .data = {.directory = o->data,
                 .train_samples = (uint32_t)o->train_samples,
                 .test_samples = (uint32_t)o->test_samples,
                 .resize = o->resize,
                 .normalize = o->normalize,
                 .resize_bug = o->resize_bug},
        .init = o->init,
        .seed = o->seed,
        .step = step_config_of(o, threads, plan_cache),
        .epochs = (uint32_t)o->epochs,
        .max_steps = o->max_steps,
        .batch_size = (uint32_t)o->batch_size,
        .lr = o->lr,
        .optimizer = {.momentum = (float)o->momentum,
                      .nesterov = !o->no_nesterov,
                      .weight_decay = (float)o->weight_decay,
                      .clip_norm = (float)o->clip_norm,
                      .mode = (clip_mode)option_choice_index(option_clip_modes, o->clip_mode),
                      .threads = threads},
        .schedule = o->schedule,
        .schedule_steps = o->schedule_steps,
        .warmup_steps = o->warmup_steps,
        .shuffle = !o->no_shuffle,
        .check_every = o->check_every,
        .output = folder->path,
        .checkpoint_every = (uint32_t)o->checkpoint_every,
        .checkpoint_steps = o->checkpoint_steps,
        .keep = (uint32_t)o->keep,
        .resume = *folder->resume ? folder->resume : NULL,
    };
}

static vgg_status run(comm *c, const options *o, const run_folder *folder, const thread_plan *plan, const char *config_json)
{
    listeners all = {0};
    config_writer writer = {o, folder};
    vgg_status status = VGG_OK;
    if (comm_rank(c) == 0) {
        status = run_folder_write_config(folder, o, comm_size(c), plan->threads, NULL);
        if (status == VGG_OK) status = open_listeners(o, folder, config_json, &writer, &all);
    }
    status = comm_agree(c, status);
    if (status == VGG_OK) {
        char plan_cache[OPTION_TEXT_MAX];
        train_config config = make_config(o, folder, plan->threads, plan_cache_path(o, plan_cache));
        config.config_json = config_json;
        config.observers = all.list;
        config.observer_count = all.count;
        status = train_run(c, &config);
    }
    close_listeners(&all);
    return status;
}

/* mpirun binds few ranks to one core each, which is easily overlooked. */
static void tell_binding(const thread_plan *plan)
{
    if (plan->node_cores >= plan->node_online) return;
    vgg_log(VGG_LOG_INFO,
            "the ranks of this node may use %d of its %d cores; under mpirun, --bind-to none or --map-by slot:PE=N "
            "gives them more",
            plan->node_cores, plan->node_online);
}

vgg_status cmd_train(comm *c, const options *o)
{
    thread_plan plan;
    run_folder folder;
    VGG_TRY(threads_plan(c, o->threads, &plan));
    VGG_TRY(run_folder_open(c, o, &folder));
    tell_binding(&plan);
    vgg_log(VGG_LOG_INFO, "run folder %s", folder.path);
    char *config_json = options_json(o, SCOPE_RESULT);
    vgg_status status = comm_agree(c, config_json ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "not enough memory for the options"));
    if (status == VGG_OK) status = run(c, o, &folder, &plan, config_json);
    free(config_json);
    run_folder_close(&folder);
    return status;
}

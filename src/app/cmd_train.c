/* train: from options to a run. */
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/plan_cache.h"
#include "app/provenance.h"
#include "app/run_files.h"
#include "app/run_folder.h"
#include "app/step_config.h"
#include "app/threads.h"
#include "app/command.h"
#include "vgg11/base/log.h"
#include "vgg11/bench/bench.h"
#include "vgg11/doctor/data.h"
#include "vgg11/train/trainer.h"

/* Rank 0's, for free(); "" of a checkpoint that holds none. */
static vgg_status read_options(const char *path, char **json)
{
    checkpoint_state state = {0};
    VGG_TRY(checkpoint_read_state(path, &state));
    *json = strdup(state.config_json ? state.config_json : "");
    checkpoint_state_clear(&state);
    return *json ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "not enough memory for the options of %s", path);
}

/* Collective. The options that the checkpoint was made with, on all ranks; for free(), NULL if the run begins afresh. */
static vgg_status share_options(comm *c, const run_folder *folder, char **json)
{
    bool first = comm_rank(c) == 0;
    if (!*folder->resume) return VGG_OK;
    VGG_TRY(comm_agree(c, first ? read_options(folder->resume, json) : VGG_OK));
    uint64_t bytes = first ? strlen(*json) + 1 : 0;
    comm_broadcast(c, &bytes, sizeof bytes, 0);
    if (!first) *json = malloc(bytes);
    VGG_TRY(comm_agree(c, *json ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "not enough memory for the options of %s", folder->resume)));
    comm_broadcast(c, *json, bytes, 0);
    return VGG_OK;
}

/* Collective. `o` completed by what the checkpoint says of the training. */
static vgg_status complete_options(comm *c, const options *o, const run_folder *folder, options *complete)
{
    char *json = NULL;
    vgg_status status = share_options(c, folder, &json);
    if (status == VGG_OK) status = comm_agree(c, options_resume(o, folder->resume, json, complete));
    free(json);
    return status;
}

static train_config make_config(const options *o, const run_folder *folder, int threads, const char *plan_cache)
{
    trace_config traced = {.on = o->trace != NULL};
    options_trace_steps(o, &traced.first, &traced.last); /* which was checked when the options were read */
    return (train_config){
        .trace = traced,
        .data = {.directory = o->data,
                 .train_samples = (uint32_t)o->train_samples,
                 .test_samples = (uint32_t)o->test_samples,
                 .validation = (uint32_t)o->validation,
                 .resize = o->resize,
                 .normalize = o->normalize,
                 .resize_bug = o->resize_bug,
                 .augment = o->augment},
        .init = o->init,
        .init_from = o->init_from,
        .seed = o->seed,
        .step = step_config_of(o, threads, plan_cache),
        .epochs = (uint32_t)o->epochs,
        .max_steps = o->max_steps,
        .batch_size = (uint32_t)o->batch_size,
        .lr = o->lr,
        .optimizer = optimizer_config_of(o, threads),
        .schedule = o->schedule,
        .schedule_steps = o->schedule_steps,
        .warmup_steps = o->warmup_steps == OPTION_AUTO ? SCHEDULE_WARMUP_AUTO : o->warmup_steps,
        .shuffle = !o->no_shuffle,
        .eval_every = o->eval_every,
        .target_accuracy = o->target_accuracy,
        .skip_bad_steps = o->skip_bad_steps,
        .check_every = o->check_every,
        .replay_every = o->replay_every,
        .output = folder->path,
        .checkpoint_every = (uint32_t)o->checkpoint_every,
        .checkpoint_steps = o->checkpoint_steps,
        .background_saves = !o->no_background_saves,
        .keep = (uint32_t)o->keep,
        .spared = {folder->spared, folder->spared_count},
        .resume = *folder->resume ? folder->resume : NULL,
    };
}

/* Collective. Without memory to measure in, a warning: the trace then tells no shares of the limits. */
static void measure_limits(comm *c, const train_config *config, span_limits *limits)
{
    const network_config *net = &config->step.network;
    if (bench_span_limits(c, net->threads, net->precision, limits) != VGG_OK && comm_rank(c) == 0)
        vgg_log(VGG_LOG_WARNING, "%s: --trace tells no shares of the machine's limit", vgg_message());
}

static vgg_status run(comm *c, const options *o, const run_folder *folder, int threads, const char *config_json)
{
    char *provenance;
    VGG_TRY(provenance_gather(c, &provenance));
    char plan_cache[OPTION_TEXT_MAX];
    run_files files = {.options = o, .folder = folder, .config_json = config_json, .provenance_json = provenance};
    train_config config = make_config(o, folder, threads, plan_cache_path(o, plan_cache));
    if (o->trace) measure_limits(c, &config, &config.trace.limits);
    config.config_json = config_json;
    config.observers = files.list;
    config.observer_count = RUN_FILES_OBSERVERS;
    config.look = doctor_warn;
    config.begin = run_files_begin;
    config.begin_context = &files;
    vgg_status status = train_run(c, &config);
    run_files_close(&files);
    free(provenance);
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

/* A run goes on with its own weights. --resume=auto may come to begin, in a job that is queued again and again by the same line. */
static vgg_status check_beginning(const options *o)
{
    if (!o->init_from || !o->resume || strcmp(o->resume, "auto") == 0) return VGG_OK;
    return vgg_fail(VGG_BAD_OPTION, "--init-from: a resumed run has its checkpoint's weights; name either this or --resume");
}

vgg_status cmd_train(comm *c, const options *o)
{
    thread_plan plan;
    run_folder folder;
    VGG_TRY(check_beginning(o));
    VGG_TRY(threads_plan(c, o->threads, &plan));
    VGG_TRY(run_folder_open(c, o, &folder));
    tell_binding(&plan);
    vgg_log(VGG_LOG_INFO, "run folder %s", folder.path);
    options complete = {0};
    vgg_status status = complete_options(c, o, &folder, &complete);
    char *config_json = status == VGG_OK ? options_json(&complete, SCOPE_PART) : NULL;
    if (status == VGG_OK)
        status = comm_agree(c, config_json ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "not enough memory for the options"));
    if (status == VGG_OK) status = run(c, &complete, &folder, plan.threads, config_json);
    free(config_json);
    options_clear(&complete);
    run_folder_close(&folder);
    return status;
}

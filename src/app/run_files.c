#include "app/run_files.h"

static vgg_status open_display(run_files *files)
{
    const options *o = files->options;
    if (o->trace) {
        VGG_TRY(trace_open(o->trace, &files->trace));
        files->list[0] = trace_observer(files->trace);
    }
    if (o->tensorboard) {
        VGG_TRY(tensorboard_open(o->tensorboard, &files->tensorboard));
        files->list[4] = tensorboard_observer(files->tensorboard);
    }
    VGG_TRY(progress_open(o->quiet ? "none" : o->progress, &files->progress));
    files->list[1] = progress_observer(files->progress);
    files->list[3] = doctor_plateau_observer(&files->plateau);
    return VGG_OK;
}

/* Checkpoints before metrics: those say where the run stands, and the other follows when it goes on. */
static vgg_status open_records(run_files *files, const char *aside)
{
    const run_folder *folder = files->folder;
    if (*folder->resume) VGG_TRY(checkpoint_set_aside(folder->path, folder->resume_step, aside));
    VGG_TRY(recorder_open(folder->path, folder->resume_step, aside, files->config_json, &files->recorder));
    files->list[2] = recorder_observer(files->recorder);
    return recorder_set_provenance(files->recorder, files->provenance_json);
}

vgg_status run_files_begin(void *context, const run_start_event *event)
{
    run_files *files = context;
    char aside[RUN_FOLDER_ASIDE_MAX];
    VGG_TRY(open_display(files));
    VGG_TRY(run_folder_open_aside(files->folder, aside));
    vgg_status status = run_folder_write_config(files->folder, files->options, event, files->provenance_json);
    if (status == VGG_OK) status = open_records(files, aside);
    run_folder_close_aside(files->folder, aside);
    return status;
}

void run_files_close(run_files *files)
{
    progress_close(files->progress);
    trace_close(files->trace);
    tensorboard_close(files->tensorboard);
    recorder_close(files->recorder);
}

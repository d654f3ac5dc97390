/* Private to app: what listens to a run, and so what it writes besides checkpoints; on rank 0 alone. */
#ifndef VGG11_APP_RUN_FILES_H
#define VGG11_APP_RUN_FILES_H

#include "app/run_folder.h"
#include "vgg11/doctor/plateau.h"
#include "vgg11/report/progress.h"
#include "vgg11/report/recorder.h"
#include "vgg11/report/tensorboard.h"
#include "vgg11/report/trace.h"

enum { RUN_FILES_OBSERVERS = 5 };

/* The first four are the caller's; all else is zero until run_files_begin(). */
typedef struct {
    const options *options;
    const run_folder *folder;
    const char *config_json;
    const char *provenance_json; /* on rank 0 */
    recorder *recorder;
    progress *progress;
    trace *trace;
    tensorboard *tensorboard;
    doctor_plateau plateau; /* writes no file, but is told the same */
    run_observer list[RUN_FILES_OBSERVERS];
} run_files;

/* For train_config.begin, with a run_files for context: sets aside what the run folder has of later steps, writes its
 * config.json, opens the rest, and fills in the list. Killed at any moment, it leaves a folder whose newest checkpoint is either the one
 * that it was or the one that the run goes on from. */
vgg_status run_files_begin(void *context, const run_start_event *event);
void run_files_close(run_files *files);

#endif

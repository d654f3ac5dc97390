/* Private to app: where a run writes, and where it goes on from. */
#ifndef VGG11_APP_RUN_FOLDER_H
#define VGG11_APP_RUN_FOLDER_H

#include <stdint.h>

#include "app/options/options.h"
#include "vgg11/base/run_events.h"
#include "vgg11/checkpoint/checkpoint.h"

enum { RUN_FOLDER_SPARED_MAX = 64, RUN_FOLDER_ASIDE_MAX = CHECKPOINT_PATH_MAX + 64 };

typedef struct {
    char path[CHECKPOINT_PATH_MAX];
    char resume[CHECKPOINT_PATH_MAX];       /* checkpoint to go on from; "" to start afresh */
    uint64_t resume_step;                   /* of that checkpoint */
    uint64_t spared[RUN_FOLDER_SPARED_MAX]; /* steps of checkpoints in the folder that the user once named, which stay */
    size_t spared_count;
    int lock; /* of run_lock.h, on rank 0 */
} run_folder;

/* Collective: rank 0 looks and makes, all get the outcome. Creates the folder (and those above it) that --output names, or
 * runs/<UTC time>, and finds the checkpoint that --resume asks for. Nothing is changed in the folder before it is locked against
 * other runs. VGG_IO_ERROR if it cannot be made or written or another run writes there, VGG_BAD_CHECKPOINT if there is nothing to resume,
 * VGG_BAD_OPTION if the folder holds another run's results. */
vgg_status run_folder_open(comm *c, const options *o, run_folder *folder);

/* Lets other runs have the folder. */
void run_folder_close(run_folder *folder);

/* A new folder <folder>/abandoned/<UTC time> for what a run that goes on leaves aside; and its removal if nothing came into it,
 * or a word on what did. Rank 0. */
vgg_status run_folder_open_aside(const run_folder *folder, char aside[RUN_FOLDER_ASIDE_MAX]);
void run_folder_close_aside(const run_folder *folder, const char *aside);

/* Writes <folder>/config.json whole or not at all: the options, and what they came to: ranks, threads, the exchange and
 * the algorithms; and which checkpoints are spared. Rank 0. */
vgg_status run_folder_write_config(const run_folder *folder, const options *o, const run_start_event *start,
                                   const char *provenance_json);

#endif

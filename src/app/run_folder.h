/* Private to app: where a run writes, and where it goes on from. */
#ifndef VGG11_APP_RUN_FOLDER_H
#define VGG11_APP_RUN_FOLDER_H

#include <stdint.h>

#include "app/options/options.h"
#include "vgg11/base/run_events.h"
#include "vgg11/checkpoint/checkpoint.h"

typedef struct {
    char path[CHECKPOINT_PATH_MAX];
    char resume[CHECKPOINT_PATH_MAX]; /* checkpoint to go on from; "" to start afresh */
    uint64_t resume_step;             /* of that checkpoint */
    int lock;                         /* of run_lock.h, on rank 0 */
} run_folder;

/* Collective: rank 0 looks and makes, all get the outcome. Creates the folder (and those above it) that --output names, or
 * runs/<UTC time>, and finds the checkpoint that --resume asks for. Nothing is changed in the folder before it is locked against
 * other runs. VGG_IO_ERROR if it cannot be made or written or another run writes there, VGG_BAD_CHECKPOINT if there is nothing to resume,
 * VGG_BAD_OPTION if the folder holds another run's results. */
vgg_status run_folder_open(comm *c, const options *o, run_folder *folder);

/* Lets other runs have the folder. */
void run_folder_close(run_folder *folder);

/* Writes <folder>/config.json whole or not at all: the options, and what they came to: ranks, threads, and with `start` (NULL
 * before there is one) the exchange and the algorithms. Rank 0. */
vgg_status run_folder_write_config(const run_folder *folder, const options *o, int ranks, int threads,
                                   const run_start_event *start);

#endif

/* The training run: the loop of DESIGN's step, evaluation, checkpoints, stopping. Collective throughout. */
#ifndef VGG11_TRAIN_TRAINER_H
#define VGG11_TRAIN_TRAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "vgg11/base/run_events.h"
#include "vgg11/base/status.h"
#include "vgg11/comm/comm.h"
#include "vgg11/train/optimizer.h"
#include "vgg11/train/step.h"

typedef struct {
    const char *directory;  /* NULL: where dataset_locate() finds it */
    uint32_t train_samples; /* 0: all */
    uint32_t test_samples;
    const char *resize; /* a row's name of each table */
    const char *normalize;
    bool resize_bug;
} data_config;

typedef struct {
    data_config data;
    const char *init;
    uint64_t seed;
    training_step_config step; /* but recorded_exchange, batch_size and network.plan, which the run knows for itself */
    uint32_t epochs;
    uint64_t max_steps;  /* where the run stops, if the epochs do not end before; 0: with them. No matter to the schedule */
    uint32_t batch_size; /* global */
    double lr;
    optimizer_config optimizer;
    const char *schedule;
    uint64_t schedule_steps; /* its length, warm-up included; 0: that of all epochs */
    uint64_t warmup_steps;
    bool shuffle;
    uint64_t check_every;      /* steps between checks of what ranks hold; 0: only before evaluations and checkpoints */
    const char *output;        /* run folder, exists; NULL: write nothing */
    uint32_t checkpoint_every; /* epochs; 0 for none */
    uint64_t checkpoint_steps; /* 0 for none */
    uint32_t keep;
    const char *resume;            /* NULL: from the start; a checkpoint file; or a folder, whose newest valid one is taken */
    const char *config_json;       /* goes into checkpoints; the caller's */
    const run_observer *observers; /* [observer_count] */
    int observer_count;
} train_config;

/* Runs it. VGG_STOPPED after a signal that asks for it (saved first). The same status on all ranks. Watches for these signals
 * while it runs, see stop_signal.h. */
vgg_status train_run(comm *c, const train_config *config);

#endif

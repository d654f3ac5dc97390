/* The training run: steps (see step.h), evaluation, checkpoints, stopping. */
#ifndef VGG11_TRAIN_TRAINER_H
#define VGG11_TRAIN_TRAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "vgg11/base/run_events.h"
#include "vgg11/base/status.h"
#include "vgg11/checkpoint/checkpoint.h"
#include "vgg11/comm/comm.h"
#include "vgg11/data/batch.h"
#include "vgg11/train/optimizer.h"
#include "vgg11/train/schedule.h"
#include "vgg11/train/shared_dataset.h"
#include "vgg11/train/step.h"

typedef struct {
    const char *directory;  /* NULL: where dataset_locate() finds it */
    uint32_t train_samples; /* 0: all */
    uint32_t test_samples;
    uint32_t validation; /* so many training images, fixed ones, are held out and evaluated on in place of the test set; 0: none */
    const char *resize;  /* name of a row of resize.h's table */
    const char *normalize; /* name of a row of batch.h's table */
    bool resize_bug;
    const char *augment; /* name of a row of augment.h's table; NULL for "none" */
} data_config;

enum { TRACE_STEPS_DEFAULT = 20, TRACE_STEPS_MAX = 1000 };

/* What the observers' `spans` are told of. */
typedef struct {
    bool on;
    uint64_t first; /* step, 1 for the first of the run; 0: the first TRACE_STEPS_DEFAULT that this process takes */
    uint64_t last;  /* at most TRACE_STEPS_MAX in all */
    span_limits limits;
} trace_config;

typedef struct {
    data_config data;
    trace_config trace;
    const char *init;
    const char *init_from; /* a file whose weights are the initial ones, see weight_file.h; NULL: those of `init` */
    uint64_t seed;
    training_step_config step; /* without recorded_exchange, replay, batch_size and network.plan, which the run sets */
    uint32_t epochs;
    uint64_t max_steps;  /* steps after which the run ends, if its epochs do not end before; 0: no limit. Not for the schedule */
    uint32_t batch_size; /* global */
    double lr;
    optimizer_config optimizer;
    const char *schedule;
    uint64_t schedule_steps; /* length of the schedule, warm-up included; 0: that of all epochs */
    uint64_t warmup_steps;   /* or SCHEDULE_WARMUP_AUTO */
    bool shuffle;
    uint64_t eval_every;           /* steps between evaluations, besides those that end an epoch; 0: none */
    double target_accuracy;        /* 0..1: the run ends when an evaluation reaches it; 0: none */
    uint64_t skip_bad_steps;       /* steps in a row that may change nothing because a number in them is not finite; 0: none */
    uint64_t check_every;          /* steps between checks of the ranks' copies; 0: only before evaluations and checkpoints */
    uint64_t replay_every;         /* steps between those in which each rank computes a micro-batch twice and compares; 0: none */
    const char *output;            /* run folder, which exists; NULL: write nothing */
    uint32_t checkpoint_every;     /* epochs between checkpoints; 0 for none */
    uint64_t checkpoint_steps;     /* steps between checkpoints; 0 for none */
    bool background_saves;         /* save beside the training where memory allows for a copy, all but the last */
    uint32_t keep;                 /* checkpoints that are kept, besides the best; 0 for all */
    checkpoint_steps spared;       /* checkpoints in `output` that are never removed */
    const char *resume;            /* a checkpoint file, or a folder, whose newest valid checkpoint is taken; NULL: start afresh */
    const char *config_json;       /* stored in checkpoints; belongs to the caller */
    const run_observer *observers; /* [observer_count] */
    int observer_count;
    /* Called once, on rank 0 and while the others go on, with the data as all ranks see it: it may say what it thinks of it, and must
     * neither fail nor call the others. NULL for nothing to do. */
    void (*look)(const shared_dataset *train, const shared_dataset *test, const normalization *pixels);
    /* Called once, on rank 0, when nothing is left that could refuse the run: the data is read, the checkpoint accepted, the memory
     * there. Before it nothing is changed in `output`, and no observer is called: it may still fill in their functions. The run
     * fails if it fails. NULL for nothing to do. */
    vgg_status (*begin)(void *context, const run_start_event *event);
    void *begin_context;
} train_config;

/* Collective; the same status on all ranks. VGG_STOPPED after a signal that asks for it, with a checkpoint saved; VGG_DIVERGED if the
 * loss or a norm is not finite in more steps in a row than config->skip_bad_steps, and again after the run went back to the newest
 * checkpoint in config->output, or the loss runs away; VGG_DISAGREE if copies on ranks differ, or a rank computed the same twice with
 * different results. Watches for the signals while it runs, see stop_signal.h. If what it resumes has nothing left to do, that is
 * logged, and nothing is begun or written. */
vgg_status train_run(comm *c, const train_config *config);

#endif

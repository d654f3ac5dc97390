/* The trainer's members and functions, for its files. */
#ifndef VGG11_TRAIN_TRAINER_IMPL_H
#define VGG11_TRAIN_TRAINER_IMPL_H

#include "train/divergence.h"
#include "train/saver.h"
#include "vgg11/base/run_events.h"
#include "vgg11/checkpoint/checkpoint.h"
#include "vgg11/train/evaluate.h"
#include "vgg11/train/schedule.h"
#include "vgg11/train/shared_dataset.h"
#include "vgg11/train/trainer.h"
#include "vgg11/train/step.h"

enum { DATA_FINGERPRINT_MAX = 512, DATA_DIGEST_MAX = 24, TUNING_FINGERPRINT_MAX = 384, EXCHANGE_NAME_MAX = 64 };

/* A rank's report on its part of a step. All ranks get all reports and decide by them in the same way. */
typedef struct {
    double loss_sum;
    double lr; /* all ranks take rank 0's: a cosine may differ in its last bit between machines */
    uint32_t correct;
    int32_t stop; /* the signal that asks for it; 0: none */
    bool bad;     /* the norm or a factor of clipping is not finite */
    bool saved;   /* rank 0's: a save beside the training has come to its end */
} step_report;

/* The steps that are traced. */
typedef struct {
    span_log *log; /* NULL: none, or they are over */
    uint64_t first;
    uint64_t last;
    comm_clock begun; /* when the trace began; all zero before */
} trainer_trace;

/* How the run of a checkpoint computed. It comes from a file: it is compared and looked up, never trusted. */
typedef struct {
    char path[CHECKPOINT_PATH_MAX];
    int ranks;
    int threads;
    int micro_batches;
    char exchange[EXCHANGE_NAME_MAX];
    char tuning_fingerprint[TUNING_FINGERPRINT_MAX];
    char algorithms[CONV_CHOICES_TEXT_MAX];
    bool fits; /* ranks, threads, micro-batches and tuning fingerprint are this run's: its algorithms are a good choice here, too */
} resume_record;

typedef struct {
    comm *c;
    const train_config *config;
    const schedule_shape *schedule;
    shared_dataset train;
    shared_dataset test;
    uint32_t *places;       /* of the training images that are trained on and, after them, of those held out; NULL: none is */
    dataset train_set;      /* what is trained on */
    dataset evaluation_set; /* what is evaluated on */
    batch_augmentation augment;
    normalization pixels;
    training_step_config step_config;
    training_step step;
    uint32_t *order;      /* [train_set.count] of the current epoch */
    step_report *reports; /* [ranks] */
    uint32_t steps_per_epoch;
    uint64_t steps_total; /* in the whole run */
    uint64_t schedule_steps;
    uint64_t warmup_steps;
    run_position position;
    int stop;             /* the signal that a rank was told to stop by, once all know; 0: none */
    evaluation last_eval; /* the last that was not given up */
    char data_fingerprint[DATA_FINGERPRINT_MAX];
    char data_digest[DATA_DIGEST_MAX];               /* of the training images and labels */
    char tuning_fingerprint[TUNING_FINGERPRINT_MAX]; /* what the choice of algorithms depends on, of all ranks */
    char algorithms[CONV_CHOICES_TEXT_MAX];          /* the network's, network_algorithms() */
    resume_record resumed_from;                      /* set if config->resume is */
    divergence_watch divergence;
    clip_result clip;    /* of the last step */
    double lr;           /* of the last step */
    uint64_t bad_in_row; /* steps that changed nothing since the last that did */
    uint64_t skipped;    /* such steps in all, of this process */
    double best_before;  /* position.best_accuracy before the last evaluation, and after it if its weights cannot be saved */
    saver saver;         /* rank 0's */
    bool saving;         /* the last save is not settled */
    bool saving_best;    /* and it is of the best weights, too */
    bool save_ended;     /* as all ranks know since the last step */
    size_t room_bytes;   /* memory that this run leaves on its node, at most; SIZE_MAX: unknown */
    size_t passed_over;  /* files that are only named like checkpoints, as far as told */
    trainer_trace trace;
    double started_s;
    double train_s;
    double exchange_s; /* the exposed exchange of all steps */
    uint64_t steps;    /* taken by this process; a resumed run has taken more */
    uint64_t images;
} trainer;

/* Collective. Loads the data, opens the step, and initialises or loads the weights. trainer_close() frees, also after a failure. */
vgg_status trainer_open(trainer *t);
void trainer_close(trainer *t);

/* Collective. Finds the checkpoint that config->resume names, and fills resumed_from with how its run computed. */
vgg_status trainer_find_resume(trainer *t);

/* The exchange and the algorithms of the checkpoint, which a resumed run takes where the user has named none; the same on all
 * ranks. NULL if they do not fit this run, or none are recorded. */
const char *trainer_recorded_exchange(const trainer *t);
const char *trainer_recorded_algorithms(const trainer *t);

/* If a resumed run may not end in the same bits as an uninterrupted one, logs a line with the reasons. */
void trainer_tell_differences(const trainer *t);

/* Collective. The weights of config->resume, else of config->init_from, else initial ones. */
vgg_status trainer_start_weights(trainer *t);

/* On rank 0. Takes weights, velocity and position from a checkpoint of this run. */
vgg_status trainer_load(trainer *t, const char *path);

/* Collective. Gives all ranks rank 0's position and weights and, where it has one that is not all zero, its velocity. */
void trainer_share_state(trainer *t, bool velocity);

/* Collective. Ends a step whose loss, norm or factors are not finite without a change of weights and velocity, with a warning;
 * VGG_DIVERGED if it is one too many in a row. */
vgg_status trainer_skip_step(trainer *t, double loss);

/* Collective. Adds to the message of a VGG_DIVERGED the learning rate, where numbers that are not finite began, and what to do about it;
 * returns `status`. */
vgg_status trainer_advise(trainer *t, vgg_status status);

/* Collective. After a VGG_DIVERGED, where config->skip_bad_steps allows for faults: takes up the newest checkpoint in config->output. False,
 * with the message as it was, if there is none to take, or the loss ran away from finite numbers, as it would again. */
bool trainer_go_back(trainer *t);

/* Collective. VGG_DISAGREE on all ranks if exchange_check() says so, or if packed weights in a rank's plans are not those of the
 * weights. */
vgg_status trainer_check(trainer *t);

/* The micro-batch of the coming step that each rank computes twice, another one each time; -1: none. */
int trainer_replayed_micro_batch(const trainer *t);

/* Collective. VGG_DISAGREE on all ranks if a result on any differed when it was computed again; see training_step_replay(). */
vgg_status trainer_check_replay(trainer *t, const char *differs);

/* Collective. If `periodic`, saves checkpoint-<step>.safetensors and removes old ones; if `best`, saves best.safetensors: beside the training
 * unless it is the `last`. A file that cannot be written is an error where it is the `last`, and otherwise a warning. */
vgg_status trainer_save(trainer *t, bool periodic, bool best, bool last);

/* Collective. Waits for a save that is under way beside the training, tells of it and returns its status; VGG_OK if there is none. */
vgg_status trainer_settle_save(trainer *t);

/* Collective. Memory for the trace of the steps that config->trace names; the position is known. */
vgg_status trainer_trace_open(trainer *t);
void trainer_trace_close(trainer *t);

/* Collective where the trace begins or ends: before the coming step. */
void trainer_trace_step(trainer *t);

/* Collective. Gathers the trace of all ranks and tells of it, unless that was done. */
void trainer_trace_end(trainer *t);

/* Calls one member of all observers, on rank 0. */
#define TRAINER_TELL(t, member, event)                                                                   \
    do {                                                                                                 \
        for (int tell_i = 0; comm_rank((t)->c) == 0 && tell_i < (t)->config->observer_count; tell_i++) { \
            const run_observer *tell_o = &(t)->config->observers[tell_i];                                \
            if (tell_o->member) tell_o->member(tell_o->context, event);                                  \
        }                                                                                                \
    } while (0)

#endif

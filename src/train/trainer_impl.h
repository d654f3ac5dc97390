/* What the parts of the trainer share. */
#ifndef VGG11_TRAIN_TRAINER_IMPL_H
#define VGG11_TRAIN_TRAINER_IMPL_H

#include "train/divergence.h"
#include "vgg11/base/run_events.h"
#include "vgg11/checkpoint/checkpoint.h"
#include "vgg11/train/evaluate.h"
#include "vgg11/train/schedule.h"
#include "vgg11/train/shared_dataset.h"
#include "vgg11/train/trainer.h"
#include "vgg11/train/step.h"

enum { DATA_FINGERPRINT_MAX = 512, DATA_DIGEST_MAX = 24, TUNING_FINGERPRINT_MAX = 384, EXCHANGE_NAME_MAX = 64 };

/* What a rank says of its part of a step. All ranks get all reports and take the same decisions from them. */
typedef struct {
    double loss_sum;
    double lr; /* rank 0's counts: a cosine may differ in its last bit between machines */
    uint32_t correct;
    int32_t stop; /* the signal that asks for it; 0: none */
} step_report;

/* What a checkpoint says of how its run computed. From a file: to be compared and looked up, never trusted. */
typedef struct {
    char path[CHECKPOINT_PATH_MAX];
    int ranks;
    int threads;
    int micro_batches;
    char exchange[EXCHANGE_NAME_MAX];
    char tuning_fingerprint[TUNING_FINGERPRINT_MAX];
    char algorithms[CONV_CHOICES_TEXT_MAX];
    bool fits; /* this run adds up alike, on the same types of processor: the algorithms are as good a choice for it */
} resume_record;

typedef struct {
    comm *c;
    const train_config *config;
    const schedule_shape *schedule;
    shared_dataset train;
    shared_dataset test;
    normalization pixels;
    training_step_config step_config;
    training_step step;
    uint32_t *order;      /* [train.set.count] of the current epoch */
    step_report *reports; /* [ranks] */
    uint32_t steps_per_epoch;
    uint64_t steps_total; /* in the whole run */
    uint64_t schedule_steps;
    run_position position;
    int stop;             /* the signal that a rank was told to stop by, once all know; 0: none */
    evaluation last_eval; /* the last that was not given up */
    char data_fingerprint[DATA_FINGERPRINT_MAX];
    char data_digest[DATA_DIGEST_MAX];               /* of the training images and labels */
    char tuning_fingerprint[TUNING_FINGERPRINT_MAX]; /* what the choice of algorithms holds for, on all ranks */
    char algorithms[CONV_CHOICES_TEXT_MAX];          /* of the network */
    resume_record resumed_from;                      /* if config->resume */
    divergence_watch divergence;
    double started_s;
    double train_s;
    double exchange_s; /* exposed, in all steps */
    uint64_t steps;    /* by this process; a resumed run has more */
    uint64_t images;
} trainer;

/* Collective. Loads data, makes exchange and network, initialises or resumes. trainer_close() frees, also after failure. */
vgg_status trainer_open(trainer *t);
void trainer_close(trainer *t);

/* Collective. Finds what config->resume names, and reads of it how that run computed. */
vgg_status trainer_find_resume(trainer *t);

/* What a resumed run is to take where the user leaves it open: the same on all ranks. NULL to choose afresh, also where the
 * checkpoint's would mean nothing here. */
const char *trainer_recorded_exchange(const trainer *t);
const char *trainer_recorded_algorithms(const trainer *t);

/* Says, in one line, why a resumed run may part from an uninterrupted one by a bit, if it may. */
void trainer_tell_differences(const trainer *t);

/* Collective. Initial weights, or those of config->resume. */
vgg_status trainer_start_weights(trainer *t);

/* Collective. VGG_DISAGREE on all ranks if exchange_check() finds something, or a rank's plans keep weights that are not these. */
vgg_status trainer_check(trainer *t);

/* Collective. Saves checkpoint-<step> and prunes; with `best`, best.safetensors too. With `periodic` false only the best. */
vgg_status trainer_save(trainer *t, bool periodic, bool best);

/* Calls one member of all observers, on rank 0. */
#define TRAINER_TELL(t, member, event)                                                                   \
    do {                                                                                                 \
        for (int tell_i = 0; comm_rank((t)->c) == 0 && tell_i < (t)->config->observer_count; tell_i++) { \
            const run_observer *tell_o = &(t)->config->observers[tell_i];                                \
            if (tell_o->member) tell_o->member(tell_o->context, event);                                  \
        }                                                                                                \
    } while (0)

#endif

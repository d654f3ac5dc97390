/* What a run tells its observers: the trainer emits events, the report room observes them, and neither includes the other. */
#ifndef VGG11_BASE_RUN_EVENTS_H
#define VGG11_BASE_RUN_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/spans.h"

typedef struct {
    uint64_t step;        /* of the first step to come, 0 unless resumed */
    uint32_t epoch;       /* epochs done, 0 unless resumed */
    uint32_t epochs;      /* asked for */
    uint64_t steps_total; /* that the whole run will have taken at its end */
    uint64_t steps_per_epoch;
    uint32_t train_samples;
    uint32_t test_samples;    /* that are evaluated on */
    const char *evaluated_on; /* "test" or "validation", the set of these */
    uint32_t batch_size;      /* global */
    int ranks;
    int threads;            /* per rank */
    const char *exchange;   /* the one in use, and why: "node (timed on 8 MiB: ...)" */
    const char *algorithms; /* of each layer, forward/input gradient/weight gradient: "conv1:direct-1ch/-/direct-1ch ..." */
    double startup_s;       /* from process start to the first step */
} run_start_event;

typedef struct {
    uint64_t step;     /* 1 for the first */
    uint32_t epoch;    /* 1 for the first */
    uint32_t samples;  /* in this global batch */
    double loss;       /* mean over the global batch */
    double accuracy;   /* 0..1, on the training batch */
    double epoch_loss; /* means over the epoch so far, also over its steps before a resume */
    double epoch_accuracy;
    double lr;
    double grad_norm;  /* before clipping; L2 over all tensors */
    double clip_scale; /* 1 if nothing was clipped; with per-tensor clipping the smallest */
    double step_s;     /* whole step, wall time on rank 0 */
    double compute_s;  /* forward and backward */
    double
        exchange_s;  /* exposed exchange: what rank 0 spent on, or waiting for, other ranks' gradients, not hidden behind compute */
    double update_s; /* norm, clip, weight update */
} run_step_event;

/* A step that changed no weight, because its loss or gradient was not finite. */
typedef struct {
    uint64_t step;
    uint32_t epoch;
    double loss; /* one of these two may be finite */
    double grad_norm;
    double lr;
    uint64_t in_row; /* such steps without another between them, this one included */
    double step_s;
    double exchange_s;
} run_skip_event;

/* The run goes on from a checkpoint that it has passed before. */
typedef struct {
    uint64_t from_step; /* the last that was done */
    uint64_t step;      /* of the checkpoint */
    const char *path;
} run_rollback_event;

/* An image of the set that is evaluated on, and the wrong answer that it got. */
typedef struct {
    uint32_t image; /* sample of the set */
    int label;
    int answer;
    double probability; /* of the answer, 0..1 */
    const void *png;    /* the picture's file; NULL if there is none */
    size_t png_bytes;
} run_mistake;

typedef struct {
    uint32_t epoch; /* that of the last step, 1 for the first */
    uint64_t step;
    double train_loss; /* means over that epoch's steps so far, also over those before a resume; NaN if they are not known */
    double train_accuracy;
    double test_loss; /* of the set that is evaluated on */
    double test_accuracy;
    uint32_t samples;
    double eval_s;
    double train_s;            /* in all steps so far of this process, without evaluations and saves */
    bool best;                 /* so far in this run */
    const uint64_t *confusion; /* [classes][classes]: samples by label and prediction; lasts as long as the call; or NULL */
    int classes;
    const run_mistake *mistakes; /* [mistake_count]: the surest wrong answers, the surest first; last as long as the call */
    int mistake_count;
} run_eval_event;

typedef struct {
    uint64_t step;
    const char *path;
    uint64_t bytes;
    double save_s;
    double stall_s; /* for which the training stood still: all of save_s, or what it took to copy and then to wait */
    double since_s; /* it was there so long before this event */
} run_checkpoint_event;

typedef struct {
    int status;          /* a vgg_status */
    const char *message; /* "" if all went well */
    uint64_t step;
    double wall_s;
    double train_s;    /* in steps alone */
    double step_s;     /* means over the steps of this run: of run_step_event's step_s */
    double exchange_s; /* and exchange_s */
    uint64_t steps;    /* taken by this process; those before a rollback count as well */
    uint64_t skipped;  /* of these, those that changed nothing */
    uint64_t images;
    double best_accuracy;  /* NaN: the run has not been evaluated */
    double final_accuracy; /* of this process' last evaluation; NaN, both: it has made none */
    double final_loss;
    uint64_t memory_peak_bytes; /* largest of any rank */
} run_end_event;

/* The trace of one rank. There is one for each rank, in the order of ranks, once, when the steps that are traced or the run are over. */
typedef struct {
    int rank;
    int ranks;
    const char *host;
    double round_trip_s; /* half of which its clock may be off rank 0's; 0: it is the same */
    double origin_s;     /* when the trace began */
    span_limits limits;  /* of this rank */
    const span *spans;   /* [count], by rank 0's clock; lasts as long as the call */
    size_t count;
    size_t lost; /* for which there was no room */
} run_spans_event;

/* Any function may be NULL. They are called on rank 0 only, never from two threads at a time, and must not fail the run. */
typedef struct {
    void *context;
    void (*start)(void *context, const run_start_event *event);
    void (*step)(void *context, const run_step_event *event);
    void (*eval)(void *context, const run_eval_event *event);
    void (*checkpoint)(void *context, const run_checkpoint_event *event);
    void (*end)(void *context, const run_end_event *event);
    void (*skip)(void *context, const run_skip_event *event); /* instead of step */
    void (*rollback)(void *context, const run_rollback_event *event);
    void (*spans)(void *context, const run_spans_event *event);
} run_observer;

#endif

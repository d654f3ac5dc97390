/* Saving on rank 0, by the caller or beside the training by a thread that makes no MPI call, calls no observer and logs nothing. */
#ifndef VGG11_TRAIN_SAVER_H
#define VGG11_TRAIN_SAVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "vgg11/checkpoint/checkpoint.h"

/* What is to be saved, and then how that went. */
typedef struct {
    const char *folder;
    uint32_t keep;
    checkpoint_steps spared;
    bool periodic, best; /* checkpoint-<step>.safetensors; best.safetensors */
    checkpoint_state state;
    const float *weights;
    const float *velocity;

    vgg_status status;
    vgg_kept_message message; /* of a failure */
    bool saved;               /* the periodic one is there */
    char path[CHECKPOINT_PATH_MAX];
    uint64_t bytes;
    double begun_s;
    double ended_s;
    vgg_status pruned; /* that of checkpoint_prune() */
    vgg_kept_message prune_message;
    size_t passed_over; /* by it */
} save_job;

typedef struct {
    float *copy; /* of weights and velocity; NULL: none to be had, and the training waits for each save */
    pthread_t thread;
    bool running; /* the thread is to be joined */
    atomic_bool ended;
    double stall_s; /* for which the training stood still for this save */
    save_job job;   /* while the thread runs, its own */
} saver;

/* Memory for the copy, where `room_bytes` (SIZE_MAX: unknown) and the address space leave enough. saver_close() frees, after it has waited
 * for the thread. */
void saver_open(saver *s, size_t room_bytes);
void saver_close(saver *s);

/* Saves s->job, of which the first half is set. True if a thread does so: then weights and velocity may change at once. It does not where
 * there is no copy or not `beside` the training, where a number is not finite, or if there is no thread to be had. */
bool saver_start(saver *s, bool beside, int threads);

/* Whether a thread has ended, and nobody has waited for it yet. */
bool saver_has_ended(saver *s);

/* Waits for the thread, if there is one. */
void saver_wait(saver *s);

#endif

/* Checkpoints: safetensors files (see DESIGN), written whole or not at all, believed only when they validate.
 * Not collective: one process writes and reads; whoever calls shares the outcome. */
#ifndef VGG11_CHECKPOINT_CHECKPOINT_H
#define VGG11_CHECKPOINT_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/status.h"

enum { CHECKPOINT_FORMAT = 1, CHECKPOINT_PATH_MAX = 4096 };

/* How far a run has come. */
typedef struct {
    uint64_t step;       /* steps done */
    uint32_t epoch;      /* epochs done */
    uint32_t epoch_step; /* steps done within the current epoch; all of its steps where it is not evaluated yet */
    double best_accuracy;
    /* Sums over the steps so far of the last step's epoch, for the epoch's line. Zeros at an epoch's end in files of older programs. */
    double epoch_loss_sum;
    uint64_t epoch_correct;
    uint64_t epoch_samples;
    uint64_t evaluated_step; /* of the last evaluation; 0: there was none, or the program did not record it */
} run_position;

/* What a resume needs besides the tensors. Kept in __metadata__ (all values are strings there, as safetensors asks). */
typedef struct {
    bool weights_only; /* the file holds no velocity: a run can begin with its weights, and none goes on from it */
    run_position position;
    uint64_t seed;
    int ranks;
    int threads;
    int micro_batches;
    /* Normalisation of the data it was trained on, so that eval and predict need no training set. */
    double pixel_mean;
    double pixel_deviation;
    /* Texts; a state that was read owns them, and checkpoint_state_clear() frees them. */
    char *config_json;      /* the whole configuration */
    char *data_fingerprint; /* what a resumed run must have in common with this one */
    char *data_digest;      /* of the training images and labels; "" in checkpoints of programs that did not record it */
    /* How the run computed, for a resumed run to compute in the same way; "" in checkpoints of programs that did not record it. */
    char *tuning_fingerprint; /* what the choice of algorithms depends on: precision, processors, threads */
    char *exchange;           /* a row's name */
    char *algorithms;         /* a line of network_algorithms() */
} checkpoint_state;

/* Frees the texts and zeroes the state. */
void checkpoint_state_clear(checkpoint_state *state);

/* Writes `path` (temporary name in the same folder, fsync, read back and verify, rename, fsync of the folder) from flat
 * buffers of model_flat_count() floats; without velocity (NULL) a file of weights alone. bytes_written may be NULL. VGG_IO_ERROR
 * leaves no partial file. VGG_DIVERGED, with nothing written, if a number is not finite. */
vgg_status checkpoint_save(const char *path, const checkpoint_state *state, const float *weights, const float *velocity,
                           uint64_t *bytes_written);

/* Reads `path` completely, verifying every size, name, shape, offset and checksum against the program's own table before
 * anything of it is used, and that all numbers are finite. weights and velocity are flat buffers (padding zeroed); one that is
 * NULL is only checked. VGG_BAD_CHECKPOINT says what is wrong, also of a file of weights alone. The caller clears state. */
vgg_status checkpoint_load(const char *path, checkpoint_state *state, float *weights, float *velocity);

/* The same of the weights of a checkpoint, or of a file of weights alone. */
vgg_status checkpoint_load_weights(const char *path, checkpoint_state *state, float *weights);

/* Reads and validates the header alone (no tensor data). VGG_BAD_CHECKPOINT also of a file of weights alone. */
vgg_status checkpoint_read_state(const char *path, checkpoint_state *state);

/* Makes `alias` a second name of the file `path` in the same folder, in place of what had that name, at once or not at all. */
vgg_status checkpoint_alias(const char *path, const char *alias);

/* "<folder>/checkpoint-<step, 8 digits>.safetensors". */
void checkpoint_path(const char *folder, uint64_t step, char path[CHECKPOINT_PATH_MAX]);

/* The steps of the files of `folder` that are named like checkpoints, the newest first, whatever is in them; for free(), NULL if there is
 * none. VGG_BAD_CHECKPOINT if the folder cannot be opened. */
vgg_status checkpoint_list(const char *folder, uint64_t **steps, size_t *count);

/* The newest file checkpoint-*.safetensors of `folder` that validates completely; logs a warning for each newer one that does
 * not. VGG_BAD_CHECKPOINT if there is none. */
vgg_status checkpoint_find_newest(const char *folder, char path[CHECKPOINT_PATH_MAX]);

typedef struct {
    const uint64_t *steps;
    size_t count;
} checkpoint_steps;

/* Removes all but the newest `keep` files checkpoint-*.safetensors of `folder` (keep == 0: removes none), and never the file named
 * `spare` (may be NULL) nor those of the steps `spared`. Only files whose size and header are those of a checkpoint count; of others
 * that are named like one, *passed_over says how many there are. VGG_IO_ERROR names a file that could not be removed; the others are. */
vgg_status checkpoint_prune(const char *folder, uint32_t keep, const char *spare, checkpoint_steps spared, size_t *passed_over);

/* Moves the files checkpoint-*.safetensors of `folder` that are of later steps than `step` into the folder `aside`, and then
 * best.safetensors if it is: the newest checkpoint last, so that it stays the newest until all others are gone. */
vgg_status checkpoint_set_aside(const char *folder, uint64_t step, const char *aside);

/* VGG_IO_ERROR, with the sizes, if the file system of `folder` has no room now for `count` more checkpoints. */
vgg_status checkpoint_check_room(const char *folder, int count);

#endif

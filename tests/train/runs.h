/* What the tests of whole training runs share: a small configuration on real images, a folder for all ranks, and a record of
 * what a run tells. */
#ifndef VGG11_TESTS_TRAIN_RUNS_H
#define VGG11_TESTS_TRAIN_RUNS_H

#include "support/ranks.h"
#include "vgg11/checkpoint/checkpoint.h"
#include "vgg11/train/trainer.h"

enum { RUNS_EVENTS_MAX = 64 };

/* What rank 0 was told; empty on the others. */
typedef struct {
    run_step_event steps[RUNS_EVENTS_MAX];
    int step_count;
    run_skip_event skips[RUNS_EVENTS_MAX];
    int skip_count;
    run_eval_event evals[RUNS_EVENTS_MAX];
    int eval_count;
    uint64_t saved[RUNS_EVENTS_MAX]; /* steps of checkpoints */
    int saved_count;
    run_rollback_event rollback; /* the last */
    int rollback_count;
    int ends;
    int end_status;
    uint64_t start_step;
} run_record;

/* Forgets what was recorded and gives an observer that records anew. */
run_observer runs_recorder(run_record *record);

/* `samples` training and 10 test images, batches of `batch`, one thread, algorithms chosen without timing, a small constant
 * rate, replicas checked after every step; nothing written. */
train_config runs_config(uint32_t samples, uint32_t batch);

/* Collective. A new folder that all ranks know. */
const char *runs_fresh_folder(void);

/* Collective; tear-down of each test that makes folders, so that they go however the test ends. */
void runs_remove_folders(void);

/* Collective. Runs it, and asserts that every rank ends with `expected`. */
void runs_expect(const train_config *config, vgg_status expected, const char *what);

/* Collective. The same with one observer, which records. */
void runs_expect_recorded(train_config config, run_record *record, vgg_status expected, const char *what);

/* The weights and velocity of a checkpoint, in the program's own memory; freed by runs_unload(). */
typedef struct {
    float *weights;
    float *velocity;
    checkpoint_state state;
} run_checkpoint;

/* Not collective: for what one rank does alone. */
#define runs_require(right, what) ck_assert_msg(right, "%s", what)

/* Not collective. Requires that it loads. */
run_checkpoint runs_load(const char *folder, uint64_t step);
void runs_unload(run_checkpoint *checkpoint);

/* Zeroed memory for model_flat_count() floats, freed with free(). */
float *runs_flat(void);

/* Are the files of this step in both folders the same, byte by byte? All of a run's state is in them. */
bool runs_same_file(const char *folder, const char *other, uint64_t step);
bool runs_same_best(const char *folder, const char *other);

#endif

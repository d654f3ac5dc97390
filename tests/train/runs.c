#include "train/runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vgg11/nn/model.h"

enum { FOLDERS_MAX = 20, PATH_BYTES = 256 };
static char folders[FOLDERS_MAX][PATH_BYTES];
static int folder_count;

static void on_start(void *context, const run_start_event *event) { ((run_record *)context)->start_step = event->step; }

static void on_step(void *context, const run_step_event *event)
{
    run_record *record = context;
    if (record->step_count < RUNS_EVENTS_MAX) record->steps[record->step_count++] = *event;
}

static void on_skip(void *context, const run_skip_event *event)
{
    run_record *record = context;
    if (record->skip_count < RUNS_EVENTS_MAX) record->skips[record->skip_count++] = *event;
}

static void on_rollback(void *context, const run_rollback_event *event)
{
    run_record *record = context;
    record->rollback = *event;
    record->rollback_count++;
}

static void on_eval(void *context, const run_eval_event *event)
{
    run_record *record = context;
    if (record->eval_count < RUNS_EVENTS_MAX) record->evals[record->eval_count++] = *event;
}

static void on_checkpoint(void *context, const run_checkpoint_event *event)
{
    run_record *record = context;
    if (record->saved_count < RUNS_EVENTS_MAX) record->saved[record->saved_count++] = event->step;
}

static void on_end(void *context, const run_end_event *event)
{
    run_record *record = context;
    record->ends++;
    record->end_status = event->status;
}

run_observer runs_recorder(run_record *record)
{
    memset(record, 0, sizeof *record);
    return (run_observer){.context = record,
                          .start = on_start,
                          .step = on_step,
                          .skip = on_skip,
                          .eval = on_eval,
                          .checkpoint = on_checkpoint,
                          .rollback = on_rollback,
                          .end = on_end};
}

train_config runs_config(uint32_t samples, uint32_t batch)
{
    return (train_config){.data = {.directory = VGG_TEST_DATA,
                                   .train_samples = samples,
                                   .test_samples = 10,
                                   .resize = "bilinear",
                                   .normalize = "standard"},
                          .init = "he",
                          .seed = 7,
                          .epochs = 100,
                          .batch_size = batch,
                          .lr = 0.001,
                          .optimizer = {.momentum = 0.9f, .nesterov = true, .clip_norm = 1, .threads = 1},
                          .schedule = "constant",
                          .shuffle = true,
                          .step = {.network = {.threads = 1}, .exchange = {.name = "allreduce"}, .factors = true},
                          .check_every = 1,
                          .background_saves = true};
}

const char *runs_fresh_folder(void)
{
    ck_assert_int_lt(folder_count, FOLDERS_MAX);
    char *name = folders[folder_count++];
    if (comm_rank(ranks) == 0) {
        char *made = support_make_folder();
        snprintf(name, PATH_BYTES, "%s", made);
        free(made);
    }
    comm_broadcast(ranks, name, PATH_BYTES, 0);
    return name;
}

void runs_remove_folders(void)
{
    comm_barrier(ranks);
    for (int i = 0; i < folder_count && comm_rank(ranks) == 0; i++) support_remove_folder(folders[i]);
    folder_count = 0;
}

void runs_expect(const train_config *config, vgg_status expected, const char *what)
{
    char line[VGG_MESSAGE_MAX + 200];
    vgg_status status = train_run(ranks, config);
    snprintf(line, sizeof line, "%s: status %d, expected %d (%s)", what, status, expected, status ? vgg_message() : "");
    ranks_assert(status == expected, line);
}

void runs_expect_recorded(train_config config, run_record *record, vgg_status expected, const char *what)
{
    run_observer observer = runs_recorder(record);
    config.observers = &observer;
    config.observer_count = 1;
    runs_expect(&config, expected, what);
}

float *runs_flat(void)
{
    float *flat = aligned_alloc(64, model_flat_count() * sizeof *flat);
    runs_require(flat != NULL, "no memory for a flat buffer");
    memset(flat, 0, model_flat_count() * sizeof *flat);
    return flat;
}

run_checkpoint runs_load(const char *folder, uint64_t step)
{
    run_checkpoint checkpoint = {.weights = runs_flat(), .velocity = runs_flat()};
    char path[CHECKPOINT_PATH_MAX];
    checkpoint_path(folder, step, path);
    vgg_status status = checkpoint_load(path, &checkpoint.state, checkpoint.weights, checkpoint.velocity);
    runs_require(status == VGG_OK, vgg_message());
    return checkpoint;
}

void runs_unload(run_checkpoint *checkpoint)
{
    free(checkpoint->weights);
    free(checkpoint->velocity);
    checkpoint_state_clear(&checkpoint->state);
}

static bool same_bytes(FILE *first, FILE *second)
{
    enum { PIECE = 1 << 16 };
    static char a[PIECE], b[PIECE];
    bool same = true;
    for (size_t bytes = 1; same && bytes > 0;) {
        bytes = fread(a, 1, PIECE, first);
        same = fread(b, 1, PIECE, second) == bytes && memcmp(a, b, bytes) == 0;
    }
    return same;
}

static bool same_files(const char *path, const char *other)
{
    FILE *first = fopen(path, "rb"), *second = fopen(other, "rb");
    bool same = first && second && same_bytes(first, second);
    if (first) fclose(first);
    if (second) fclose(second);
    return same;
}

bool runs_same_file(const char *folder, const char *other, uint64_t step)
{
    char path[CHECKPOINT_PATH_MAX], other_path[CHECKPOINT_PATH_MAX];
    checkpoint_path(folder, step, path);
    checkpoint_path(other, step, other_path);
    return same_files(path, other_path);
}

bool runs_same_best(const char *folder, const char *other)
{
    char path[CHECKPOINT_PATH_MAX], other_path[CHECKPOINT_PATH_MAX];
    snprintf(path, sizeof path, "%s/best.safetensors", folder);
    snprintf(other_path, sizeof other_path, "%s/best.safetensors", other);
    return same_files(path, other_path);
}

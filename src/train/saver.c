#include "train/saver.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "vgg11/base/clock.h"
#include "vgg11/base/cpu.h"
#include "vgg11/base/finite.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/log.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/thread.h"
#include "vgg11/nn/model.h"

static size_t copy_bytes(void) { return 2 * model_flat_count() * sizeof(float); }

/* As much again, for what maps memory later. */
void saver_open(saver *s, size_t room_bytes)
{
    void *copy = NULL;
    size_t needed = 2 * copy_bytes();
    bool fits = needed <= room_bytes && needed <= cpu_address_space_left_bytes();
    if (fits && vgg_map(copy_bytes(), &copy) == VGG_OK)
        s->copy = copy;
    else
        vgg_log(VGG_LOG_DEBUG, "too little memory for a copy of the weights: training waits while they are saved");
}

void saver_close(saver *s)
{
    saver_wait(s);
    if (s->copy) vgg_unmap(s->copy, copy_bytes());
    s->copy = NULL;
}

static vgg_status save_periodic(save_job *job)
{
    checkpoint_path(job->folder, job->state.position.step, job->path);
    VGG_TRY(checkpoint_save(job->path, &job->state, job->weights, job->velocity, &job->bytes));
    job->saved = true;
    job->ended_s = clock_now_s();
    job->pruned = checkpoint_prune(job->folder, job->keep, job->path, job->spared, &job->passed_over);
    job->prune_message = vgg_keep_message();
    return VGG_OK;
}

static vgg_status save_best(save_job *job)
{
    char path[CHECKPOINT_PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/best.safetensors", job->folder);
    if (length >= (int)sizeof path) return vgg_fail(VGG_IO_ERROR, "%s: name is too long", job->folder);
    if (job->saved && checkpoint_alias(job->path, path) == VGG_OK) return VGG_OK;
    return checkpoint_save(path, &job->state, job->weights, job->velocity, NULL);
}

static void run(save_job *job)
{
    job->status = VGG_OK;
    if (job->periodic) job->status = save_periodic(job);
    if (job->status == VGG_OK && job->best) job->status = save_best(job);
    job->message = vgg_keep_message();
}

static void *run_thread(void *context)
{
    saver *s = context;
    run(&s->job);
    atomic_store(&s->ended, true);
    return NULL;
}

/* Into to[count]; true if all numbers are finite. */
static bool copy_finite(const float *from, float *to, size_t count, int threads)
{
    enum { PIECE_FLOATS = 1 << 16 };
    bool finite = true;
#pragma omp parallel for schedule(static) num_threads(threads) reduction(&& : finite)
    for (size_t at = 0; at < count; at += PIECE_FLOATS) {
        size_t floats = size_min(count - at, PIECE_FLOATS);
        memcpy(to + at, from + at, floats * sizeof *to);
        finite = finite_floats(to + at, floats) && finite;
    }
    return finite;
}

/* What is not finite is refused at once, and not steps later. */
static bool copy_state(saver *s, int threads)
{
    size_t count = model_flat_count();
    return s->copy && copy_finite(s->job.weights, s->copy, count, threads) &&
           copy_finite(s->job.velocity, s->copy + count, count, threads);
}

static bool start_thread(saver *s)
{
    save_job job = s->job;
    s->job.weights = s->copy;
    s->job.velocity = s->copy + model_flat_count();
    atomic_store(&s->ended, false);
    s->running = thread_create(&s->thread, run_thread, s) == 0;
    if (!s->running) s->job = job;
    return s->running;
}

bool saver_start(saver *s, bool beside, int threads)
{
    double start_s = s->job.begun_s = clock_now_s();
    bool started = beside && copy_state(s, threads) && start_thread(s);
    if (!started) run(&s->job);
    s->stall_s = clock_now_s() - start_s;
    return started;
}

bool saver_has_ended(saver *s) { return s->running && atomic_load(&s->ended); }

void saver_wait(saver *s)
{
    double start_s = clock_now_s();
    if (!s->running) return;
    pthread_join(s->thread, NULL);
    s->running = false;
    s->stall_s += clock_now_s() - start_s;
}

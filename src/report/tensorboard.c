#include "vgg11/report/tensorboard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "report/event_file.h"
#include "vgg11/base/file.h"
#include "vgg11/base/log.h"

enum { HOST_BYTES = 65 };

struct tensorboard {
    event_file file;
    char path[FILE_PATH_MAX];
    bool validation; /* what is evaluated on is not the test set */
};

/* Names sort by time, which is the order in which TensorBoard reads; unlike processes have unlike names. */
static vgg_status make_file(const char *folder, tensorboard *t)
{
    char host[HOST_BYTES] = "localhost";
    gethostname(host, sizeof host - 1);
    if (file_make_folder(folder, NULL) != VGG_OK) return vgg_fail(VGG_IO_ERROR, "--tensorboard %s", vgg_message());
    int length = snprintf(t->path, sizeof t->path, "%s/events.out.tfevents.%010lld.%s.%d", folder, (long long)time(NULL), host,
                          (int)getpid());
    if (length >= (int)sizeof t->path) return vgg_fail(VGG_IO_ERROR, "--tensorboard %s: name of the folder is too long", folder);
    if (event_file_create(t->path, &t->file) != VGG_OK) return vgg_fail(VGG_IO_ERROR, "--tensorboard %s", vgg_message());
    return VGG_OK;
}

vgg_status tensorboard_open(const char *folder, tensorboard **out)
{
    tensorboard *t = calloc(1, sizeof *t);
    if (!t) return vgg_fail(VGG_UNAVAILABLE, "not enough memory for --tensorboard");
    vgg_status status = make_file(folder, t);
    if (status != VGG_OK)
        free(t);
    else
        *out = t;
    return status;
}

static void on_start(void *context, const run_start_event *event)
{
    tensorboard *t = context;
    t->validation = strcmp(event->evaluated_on, "test") != 0;
    if (event->step > 0) event_file_restart(&t->file, event->step + 1);
}

static void on_step(void *context, const run_step_event *event)
{
    tensorboard *t = context;
    const event_scalar scalars[] = {{"train/loss", (float)event->loss},
                                    {"train/accuracy", (float)event->accuracy},
                                    {"train/learning_rate", (float)event->lr},
                                    {"train/grad_norm", (float)event->grad_norm},
                                    {"train/clip_scale", (float)event->clip_scale},
                                    {"train/images_per_second", (float)(event->samples / event->step_s)}};
    event_file_scalars(&t->file, event->step, scalars, sizeof scalars / sizeof scalars[0]);
}

static void on_eval(void *context, const run_eval_event *event)
{
    tensorboard *t = context;
    const event_scalar scalars[] = {{t->validation ? "validation/loss" : "test/loss", (float)event->test_loss},
                                    {t->validation ? "validation/accuracy" : "test/accuracy", (float)event->test_accuracy}};
    event_file_scalars(&t->file, event->step, scalars, sizeof scalars / sizeof scalars[0]);
}

static void on_rollback(void *context, const run_rollback_event *event)
{
    tensorboard *t = context;
    event_file_restart(&t->file, event->step + 1);
}

run_observer tensorboard_observer(tensorboard *t)
{
    return (run_observer){.context = t, .start = on_start, .step = on_step, .eval = on_eval, .rollback = on_rollback};
}

void tensorboard_close(tensorboard *t)
{
    if (!t) return;
    event_file_close(&t->file);
    if (t->file.lost || t->file.first_error)
        vgg_log(VGG_LOG_WARNING, "--tensorboard %s: %" PRIu64 " events could not be written: %s", t->path, t->file.lost,
                strerror(t->file.first_error));
    free(t);
}

#include "vgg11/train/schedule.h"
#include "vgg11/base/table.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static double cosine_factor(double progress) { return 0.5 * (1 + cos(3.14159265358979323846 * progress)); }

static double linear_factor(double progress) { return 1 - progress; }

static double constant_factor(double progress)
{
    (void)progress;
    return 1;
}

const schedule_shape schedule_shapes[] = {
    {"cosine", "the number of epochs is known: the rate falls to zero at the end", cosine_factor},
    {"linear", "a short run of known length: the rate falls evenly to zero", linear_factor},
    {"constant", "the rate is to stay as it is after warm-up", constant_factor},
    {NULL, NULL, NULL},
};

const schedule_shape *schedule_find(const char *name) { return table_find(schedule_shapes, sizeof *schedule_shapes, name); }

uint64_t schedule_warmup(uint64_t asked, uint64_t steps)
{
    static const uint64_t usual = 100;
    if (asked != SCHEDULE_WARMUP_AUTO) return asked;
    return steps / 10 < usual ? steps / 10 : usual;
}

double schedule_rate(const schedule_shape *shape, double base, uint64_t warmup, uint64_t steps, uint64_t step)
{
    if (step < warmup) return base * (double)(step + 1) / (double)warmup;
    uint64_t rest = steps > warmup ? steps - warmup : 1;
    double progress = (double)(step - warmup) / (double)rest;
    return base * shape->factor(progress < 1 ? progress : 1);
}

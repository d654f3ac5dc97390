#include "vgg11/doctor/plateau.h"

#include <math.h>

#include "vgg11/base/log.h"
#include "vgg11/data/dataset.h"

enum { BLOCKS_PER_EPOCH = 16, LEAST_BLOCK = 25 };

/* Batches of 32 whose labels are guessed differ by less than 1 % from ln 10 in the mean of a block, and a network that has begun to learn
 * falls by more than half a percent from one block to the next. */
static const double slack = 0.02, least_fall = 0.005;

static void begin_anew(doctor_plateau *plateau)
{
    plateau->steps = 0;
    plateau->sum = 0;
    plateau->before = INFINITY;
}

static void on_start(void *context, const run_start_event *event)
{
    doctor_plateau *plateau = context;
    uint64_t part = event->steps_per_epoch / BLOCKS_PER_EPOCH;
    *plateau = (doctor_plateau){.block = part > LEAST_BLOCK ? part : LEAST_BLOCK, .rate = INFINITY};
    begin_anew(plateau);
}

static bool stands(double before, double mean)
{
    double chance = log(DATASET_CLASSES);
    return fabs(before - chance) < slack * chance && fabs(mean - chance) < slack * chance && mean > before - least_fall * chance;
}

static void say(doctor_plateau *plateau, uint64_t step, double mean)
{
    plateau->said = true;
    vgg_log(
        VGG_LOG_WARNING,
        "the loss stands at %.3f, which is that of guessing (ln %d = %.3f), for %llu steps until step %llu: nothing is being learned; "
        "vgg11_dist doctor, with the same options, says why",
        mean, DATASET_CLASSES, log(DATASET_CLASSES), 2 * (unsigned long long)plateau->block, (unsigned long long)step);
}

static void on_step(void *context, const run_step_event *event)
{
    doctor_plateau *plateau = context;
    if (plateau->said) return;
    if (event->lr > plateau->rate) begin_anew(plateau);
    plateau->rate = event->lr;
    plateau->sum += event->loss;
    if (++plateau->steps < plateau->block) return;
    double mean = plateau->sum / (double)plateau->block, before = plateau->before;
    begin_anew(plateau);
    plateau->before = mean;
    if (stands(before, mean)) say(plateau, event->step, mean);
}

static void on_rollback(void *context, const run_rollback_event *event)
{
    (void)event;
    begin_anew(context);
}

run_observer doctor_plateau_observer(doctor_plateau *plateau)
{
    return (run_observer){.context = plateau, .start = on_start, .step = on_step, .rollback = on_rollback};
}

/* The choice of an exchange where the user has named none: each row is timed on a small buffer, and the one that is fastest on the
 * slowest rank is taken. Times are maxima over ranks, so that all ranks take the same row. Strategies round differently: where runs
 * are to end in the same bits each time (--no-tune), nothing is timed, and the first row of the table that opens is taken. */
#include "exchange/exchange_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "vgg11/base/clock.h"
#include "vgg11/base/integers.h"

enum {
    TRIAL_FLOATS = 1 << 21, /* 8 MiB: three buffers of this size do not fit in the caches of a rank */
    TRIALS = 2              /* the best counts: the first also pays for page faults */
};

/* Seconds of what a training step does with an exchange, with nothing to hide it behind. The loop stands for the update, and has
 * its memory traffic. */
static double time_step(comm *c, exchange *ex)
{
    double sums[1];
    vgg_range owned = ex->owned;
    comm_barrier(c);
    double start = clock_now_s();
    exchange_begin(ex);
    exchange_range_final(ex, 0, ex->config.count);
    exchange_finish(ex);
    exchange_square_sums(ex, sums);
#pragma omp parallel for schedule(static) num_threads(ex->config.threads)
    for (size_t i = owned.first; i < owned.first + owned.count; i++) {
        ex->velocity[i] += ex->gradient[i];
        ex->weights[i] += ex->velocity[i];
    }
    exchange_publish(ex);
    return comm_max(c, clock_now_s() - start);
}

/* Seconds of a step with `row`, the same on all ranks; INFINITY if it declines. */
static double try_row(comm *c, const exchange_config *config, const exchange_row *row)
{
    exchange_config trial = *config;
    trial.count = size_min(trial.count, TRIAL_FLOATS);
    vgg_range whole = {0, trial.count};
    trial.segments = &whole;
    trial.segment_count = 1;
    trial.node_scratch_bytes = 0;
    exchange *ex;
    if (exchange_open_row(c, &trial, row, &ex) != VGG_OK) return INFINITY;
    double best = INFINITY;
    for (int i = 0; i < TRIALS; i++) best = fmin(best, time_step(c, ex));
    exchange_destroy(ex);
    return best;
}

void exchange_sort_by_time(exchange_candidate *candidates, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j > 0 && candidates[j].seconds < candidates[j - 1].seconds; j--) {
            exchange_candidate swapped = candidates[j];
            candidates[j] = candidates[j - 1];
            candidates[j - 1] = swapped;
        }
}

/* "node (timed on 8 MiB: node 2.1 ms, overlap 9.0 ms, allreduce declined)" */
static void give_times(exchange *ex, const exchange_candidate *candidates, size_t count, const char *trial)
{
    int used = snprintf(ex->reason, sizeof ex->reason, "%s (%s:", exchange_name(ex), trial);
    for (size_t i = 0; i < count && used < (int)sizeof ex->reason; i++) {
        size_t room = sizeof ex->reason - (size_t)used;
        const char *comma = i + 1 < count ? "," : ")";
        if (isinf(candidates[i].seconds))
            used += snprintf(ex->reason + used, room, " %s declined%s", candidates[i].row->name, comma);
        else
            used += snprintf(ex->reason + used, room, " %s %.1f ms%s", candidates[i].row->name, 1e3 * candidates[i].seconds, comma);
    }
}

/* One rank exchanges nothing, so that there is nothing to time. The reference is taken, whose buffers lie in huge pages. */
static vgg_status open_alone(comm *c, const exchange_config *config, exchange **out)
{
    VGG_TRY(exchange_open_row(c, config, &exchange_rows[exchange_row_count - 1], out));
    snprintf((*out)->reason, sizeof(*out)->reason, "%s (one rank: nothing to exchange)", exchange_name(*out));
    return VGG_OK;
}

/* Opens the first candidate that opens at full size: a strategy may have opened with a small buffer only, for lack of shared
 * memory. */
static vgg_status open_first(comm *c, const exchange_config *config, const exchange_candidate *candidates, exchange **out)
{
    vgg_status status = VGG_UNAVAILABLE;
    for (size_t i = 0; i < exchange_row_count && status != VGG_OK; i++)
        status = exchange_open_row(c, config, candidates[i].row, out);
    return status == VGG_DECLINED ? VGG_UNAVAILABLE : status;
}

vgg_status exchange_open_auto(comm *c, const exchange_config *config, exchange **out)
{
    if (c->size == 1) return open_alone(c, config, out);
    exchange_candidate candidates[EXCHANGE_ROWS_MAX];
    for (size_t i = 0; i < exchange_row_count; i++) {
        candidates[i] = (exchange_candidate){&exchange_rows[i], 0};
        if (config->tune) candidates[i].seconds = try_row(c, config, &exchange_rows[i]);
    }
    exchange_sort_by_time(candidates, exchange_row_count);
    VGG_TRY(open_first(c, config, candidates, out));
    if (config->tune)
        give_times(*out, candidates, exchange_row_count, config->count > TRIAL_FLOATS ? "timed on 8 MiB" : "timed");
    else
        snprintf((*out)->reason, sizeof(*out)->reason, "%s (first that opens; not timed)", exchange_name(*out));
    return VGG_OK;
}

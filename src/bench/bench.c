#include "vgg11/bench/bench.h"

#include <stdlib.h>
#include <string.h>

#include "bench/result.h"
#include "vgg11/base/median.h"
#include "vgg11/base/table.h"

const bench_part bench_parts[] = {
    {"all", "layers, step and exchange", true, true, true},
    {"limits", "the machine's limits alone", false, false, false},
    {"layers", "each layer and pass, within whole steps", true, false, false},
    {"step", "the whole step and its parts", false, true, false},
    {"exchange", "each exchange strategy with the update, without layers", false, false, true},
    {NULL, NULL, false, false, false},
};

const bench_part *bench_part_find(const char *name) { return table_find(bench_parts, sizeof *bench_parts, name); }

void measurement_take(measurement *m, double *samples, uint32_t count)
{
    m->median_s = median_sort(samples, count);
    m->least_s = samples[0];
    m->most_s = samples[count - 1];
}

double measurement_fraction(const measurement *m) { return m->median_s > 0 ? m->limit_s / m->median_s : 0; }

/* As careful as the rest. */
static int peak_trials(const bench_config *config)
{
    if (config->repeats < MACHINE_PEAKS_QUICK) return MACHINE_PEAKS_QUICK;
    return config->repeats < MACHINE_PEAKS_CAREFUL ? (int)config->repeats : MACHINE_PEAKS_CAREFUL;
}

static vgg_status measure(comm *c, const bench_config *config, bench_result *result)
{
    const int threads = config->step.network.threads, trials = peak_trials(config);
    VGG_TRY(machine_peaks_measure(c, threads, trials, &result->peaks));
    if (config->part->layers || config->part->step) VGG_TRY(bench_measure_step(c, config, result));
    if (config->part->exchange) VGG_TRY(bench_measure_exchanges(c, config, result));
    /* Again, in case other work has slowed the machine down the first time. */
    VGG_TRY(machine_peaks_measure(c, threads, trials, &result->peaks));
    bench_set_limits(config, result);
    return VGG_OK;
}

static vgg_status present(const bench_config *config, const bench_result *result)
{
    if (config->json)
        VGG_TRY(bench_print_json(config, result));
    else
        bench_print_text(config, result);
    return config->plot && config->part->layers ? bench_plot(config, result) : VGG_OK;
}

static int total_threads(comm *c, int mine)
{
    uint64_t total = (uint64_t)mine;
    comm_sum_u64(c, &total, 1);
    return (int)total;
}

static vgg_status run(comm *c, const bench_config *config, bench_result *result)
{
    result->ranks = comm_size(c);
    result->nodes = comm_node_count(c);
    result->threads = total_threads(c, config->step.network.threads);
    result->step_seconds = calloc(config->repeats, sizeof(double));
    VGG_TRY(comm_agree(c, result->step_seconds ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "no memory for the results")));
    VGG_TRY(measure(c, config, result));
    return comm_agree(c, comm_rank(c) == 0 ? present(config, result) : VGG_OK);
}

vgg_status bench_run(comm *c, const bench_config *config)
{
    bench_result *result = calloc(1, sizeof *result);
    vgg_status status = comm_agree(c, result ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "no memory for the results"));
    if (status == VGG_OK) status = run(c, config, result);
    if (result) free(result->step_seconds);
    free(result);
    return status;
}

vgg_status bench_span_limits(comm *c, int threads, vgg_precision precision, span_limits *limits)
{
    machine_peaks peaks = {0};
    double all_threads = threads;
    VGG_TRY(machine_peaks_measure(c, threads, MACHINE_PEAKS_QUICK, &peaks));
    comm_sum_in_rank_order(c, &all_threads, 1);
    double share = threads / all_threads;
    *limits = (span_limits){.flops = share * op_count_peak_flops(&peaks, precision), .bytes = share * machine_bandwidth(&peaks)};
    return VGG_OK;
}

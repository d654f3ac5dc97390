/* Every exchange strategy with the update, with no backward pass to hide them. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/exchange_update.h"
#include "bench/result.h"
#include "vgg11/base/median.h"

enum { WARM_UP_STEPS = 1 };

typedef struct {
    double *exchange_s; /* [repeats] each */
    double *update_s;
    double *total_s;
} exchange_samples;

/* Writes the whole gradient, by all threads, as backward does. */
static void write_gradient(exchange *ex, int threads)
{
    float *gradient = exchange_gradient(ex);
    size_t count = model_flat_count();
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < count; i++) gradient[i] = 1e-4f;
}

/* Reports the ranges of all layers from the last to the first, as backward does. */
static void report_final(exchange *ex)
{
    const tensor_view *tensors = model_tensors();
    size_t end = model_flat_count();
    for (int layer = MODEL_LAYERS - 1; layer >= 0; layer--) {
        size_t first = tensors[2 * layer].offset;
        exchange_range_final(ex, first, end - first);
        exchange_poll(ex);
        end = first;
    }
}

static void run_once(training_step *step)
{
    training_step_begin(step, 1);
    write_gradient(step->ex, step->threads);
    comm_barrier(step->c);
    report_final(step->ex);
    training_step_allreduce(step);
    exchange_update_run(step);
}

static double mean_over_ranks(comm *c, double value)
{
    comm_sum_in_rank_order(c, &value, 1);
    return value / comm_size(c);
}

static void run_all(const bench_config *config, training_step *step, const exchange_samples *samples)
{
    const training_step_times *times = &step->times;
    for (int i = 0; i < WARM_UP_STEPS; i++) run_once(step);
    for (uint32_t i = 0; i < config->repeats; i++) {
        run_once(step);
        samples->total_s[i] = comm_max(step->c, times->exchange_s + times->update_s);
        samples->exchange_s[i] = mean_over_ranks(step->c, times->exchange_s);
        samples->update_s[i] = mean_over_ranks(step->c, times->update_s);
    }
}

static void take(const bench_config *config, const exchange *ex, const exchange_samples *samples, exchange_result *strategy)
{
    measurement_take(&strategy->total, samples->total_s, config->repeats);
    strategy->exchange_s = median_sort(samples->exchange_s, config->repeats);
    strategy->update_s = median_sort(samples->update_s, config->repeats);
    strategy->cost = exchange_cost(ex);
}

/* A strategy that declines is not an error: its result says why. */
static vgg_status measure_one(comm *c, const bench_config *config, const exchange_samples *samples, exchange_result *strategy)
{
    training_step step;
    training_step_config whole = config->step;
    whole.factors = false;
    whole.exchange.tune = true;
    whole.exchange.name = strategy->name;
    vgg_status status = training_step_open_exchange(c, &whole, &step);
    if (status == VGG_UNAVAILABLE) {
        snprintf(strategy->declined, sizeof strategy->declined, "%.*s", (int)sizeof strategy->declined - 1, vgg_message());
        return VGG_OK;
    }
    if (status == VGG_OK) {
        exchange_update_start(c, step.ex, config->seed);
        run_all(config, &step, samples);
        take(config, step.ex, samples, strategy);
    }
    training_step_close(&step);
    return status;
}

static vgg_status measure_all(comm *c, const bench_config *config, const exchange_samples *samples, bench_result *result)
{
    const exchange_entry *entries;
    size_t count = exchange_entries(&entries);
    for (size_t i = 0; i < count && result->exchange_count < EXCHANGES_MAX; i++) {
        exchange_result *strategy = &result->exchanges[result->exchange_count++];
        snprintf(strategy->name, sizeof strategy->name, "%s", entries[i].name);
        VGG_TRY(measure_one(c, config, samples, strategy));
    }
    return VGG_OK;
}

vgg_status bench_measure_exchanges(comm *c, const bench_config *config, bench_result *result)
{
    double *memory = calloc((size_t)3 * config->repeats, sizeof *memory);
    vgg_status status = memory ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "--repeats %u: no memory for so many times", config->repeats);
    status = comm_agree(c, status);
    if (status == VGG_OK) {
        exchange_samples samples = {memory, memory + config->repeats, memory + 2 * (size_t)config->repeats};
        status = measure_all(c, config, &samples, result);
    }
    free(memory);
    return status;
}

/* The results as JSON. */
#include <errno.h>
#include <jansson.h>

#include "base/json.h"
#include "bench/result.h"
#include "vgg11/base/cpu.h"

/* Members that jansson refuses for want of memory are found missing once, at the end, by errno. */
static void put(json_t *object, const char *key, json_t *value) { json_object_set_new(object, key, value); }
static void put_real(json_t *object, const char *key, double value) { put(object, key, json_real(value)); }
static void put_count(json_t *object, const char *key, uint64_t value) { put(object, key, json_integer((json_int_t)value)); }
static void put_text(json_t *object, const char *key, const char *value) { put(object, key, json_string(value)); }

static json_t *peaks_object(const machine_peaks *peaks)
{
    json_t *object = json_object();
    put_text(object, "fp32_kernel", peaks->fp32_kernel);
    put_real(object, "fp32_flops_per_s", peaks->fp32_flops);
    if (peaks->bf16_flops > 0) {
        put_text(object, "bf16_kernel", peaks->bf16_kernel);
        put_real(object, "bf16_flops_per_s", peaks->bf16_flops);
    }
    put_real(object, "read_bytes_per_s", peaks->read_bytes);
    put_real(object, "copy_bytes_per_s", peaks->copy_bytes);
    put_real(object, "update_bytes_per_s", peaks->update_bytes);
    put_count(object, "array_bytes", peaks->array_bytes);
    return object;
}

static void put_measurement(json_t *object, const measurement *m)
{
    put_real(object, "median_s", m->median_s);
    put_real(object, "least_s", m->least_s);
    put_real(object, "most_s", m->most_s);
    if (m->ops.flops > 0) {
        put_real(object, "flops", m->ops.flops);
        put_real(object, "flops_per_s", m->ops.flops / m->median_s);
    }
    if (op_count_bytes(m->ops) > 0) {
        put_real(object, "bytes", op_count_bytes(m->ops));
        put_real(object, "bytes_per_s", op_count_bytes(m->ops) / m->median_s);
    }
    if (m->limit_s > 0) {
        put_real(object, "limit_s", m->limit_s);
        put_real(object, "fraction", measurement_fraction(m));
    }
    if (m->bound_s > 0) {
        if (m->algorithm_flops > 0) put_real(object, "algorithm_flops", m->algorithm_flops);
        put_real(object, "bound_s", m->bound_s);
        put_real(object, "fraction_of_bound", m->bound_s / m->median_s);
    }
}

static json_t *layers_array(const bench_result *result)
{
    json_t *array = json_array();
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            const measurement *m = &result->layers[layer][pass];
            if (m->ops.flops <= 0) continue;
            json_t *object = json_object();
            put_text(object, "layer", model_layers[layer].name);
            put_text(object, "pass", bench_pass_names[pass]);
            put_text(object, "algorithm", result->algorithms[layer][pass]);
            put_measurement(object, m);
            json_array_append_new(array, object);
        }
    }
    return array;
}

static json_t *seconds_array(const bench_config *config, const bench_result *result)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < config->repeats; i++) json_array_append_new(array, json_real(result->step_seconds[i]));
    return array;
}

static json_t *parts_object(const bench_result *result)
{
    json_t *object = json_object();
    for (int part = 0; part < STEP_PARTS; part++) {
        json_t *member = json_object();
        put_measurement(member, &result->step[part]);
        put(object, bench_step_names[part], member);
    }
    return object;
}

static void put_cost(json_t *object, const exchange_costs *cost)
{
    put_count(object, "bytes_sent", cost->bytes_sent);
    put_count(object, "bytes_touched", cost->bytes_touched);
    put_count(object, "memory_rank_bytes", cost->memory_rank_bytes);
    put_count(object, "memory_node_bytes", cost->memory_node_bytes);
}

static json_t *in_update_array(const bench_result *result)
{
    json_t *array = json_array();
    for (int layer = 0; layer < MODEL_LAYERS; layer++)
        if (result->in_update[layer]) json_array_append_new(array, json_string(model_layers[layer].name));
    return array;
}

static json_t *step_object(const bench_config *config, const bench_result *result)
{
    json_t *object = json_object();
    put_text(object, "exchange", result->exchange);
    put_text(object, "reason", result->reason);
    put_real(object, "images_per_second", (double)config->step.batch_size / result->step[STEP_WHOLE].median_s);
    put_count(object, "network_bytes", result->network_bytes);
    if (result->tile_products > 0) {
        put_real(object, "tile_products", result->tile_products);
        put_real(object, "fewest_tile_products", result->fewest_tile_products);
    }
    put_cost(object, &result->cost);
    put(object, "weight_gradients_in_update", in_update_array(result));
    put(object, "parts", parts_object(result));
    put(object, "seconds", seconds_array(config, result));
    return object;
}

static json_t *exchanges_array(const bench_result *result)
{
    json_t *array = json_array();
    for (int i = 0; i < result->exchange_count; i++) {
        const exchange_result *strategy = &result->exchanges[i];
        json_t *object = json_object();
        put_text(object, "strategy", strategy->name);
        if (*strategy->declined) {
            put_text(object, "declined", strategy->declined);
        } else {
            put_real(object, "exchange_s", strategy->exchange_s);
            put_real(object, "update_s", strategy->update_s);
            put_measurement(object, &strategy->total);
            put_cost(object, &strategy->cost);
        }
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *result_object(const bench_config *config, const bench_result *result)
{
    json_t *object = json_object();
    if (config->provenance) put(object, "provenance", json_parse_text(config->provenance));
    put_text(object, "cpu", cpu_model_name());
    put_count(object, "ranks", (uint64_t)result->ranks);
    put_count(object, "nodes", (uint64_t)result->nodes);
    put_count(object, "threads", (uint64_t)config->step.network.threads);
    put_count(object, "batch_size", config->step.batch_size);
    put_count(object, "repeats", config->repeats);
    put_text(object, "precision", config->step.network.precision == PRECISION_BF16 ? "bf16" : "fp32");
    put(object, "limits", peaks_object(&result->peaks));
    if (config->part->layers) put(object, "layers", layers_array(result));
    if (config->part->step) put(object, "step", step_object(config, result));
    if (config->part->exchange) put(object, "exchange", exchanges_array(result));
    return object;
}

vgg_status bench_print_json(const bench_config *config, const bench_result *result)
{
    errno = 0;
    json_t *object = result_object(config, result);
    if (errno == ENOMEM) {
        json_decref(object);
        return vgg_fail(VGG_UNAVAILABLE, "not enough memory to print the results");
    }
    int failed = json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(object);
    if (failed || putchar('\n') == EOF || fflush(stdout) != 0)
        return vgg_fail_errno(VGG_IO_ERROR, "standard output: cannot write the results");
    return VGG_OK;
}

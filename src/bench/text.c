/* The results as tables. */
#include <stdio.h>

#include "bench/result.h"
#include "vgg11/base/cpu.h"

static const double MILLI = 1e3, GIGA = 1e-9, MEGA = 1e-6;

static const char *plural(int count) { return count == 1 ? "" : "s"; }

static void print_rate(const char *name, const char *how, double rate, int threads, const char *unit)
{
    printf("  %-8s %-20s %10.1f %10.1f %s\n", name, how, rate * GIGA, rate * GIGA / threads, unit);
}

static void print_machine(const bench_config *config, const bench_result *result)
{
    const machine_peaks *peaks = &result->peaks;
    int threads = result->threads;
    printf("%s: %d rank%s x %d thread%s on %d node%s\n\n", cpu_model_name(), result->ranks, plural(result->ranks),
           config->step.network.threads, plural(config->step.network.threads), result->nodes, plural(result->nodes));
    printf("limits                            together   a thread (%d thread%s at once)\n", threads, plural(threads));
    print_rate("fp32", peaks->fp32_kernel, peaks->fp32_flops, threads, "GFLOP/s");
    print_rate("bf16", peaks->bf16_kernel ? peaks->bf16_kernel : "none", peaks->bf16_flops, threads, "GFLOP/s");
    print_rate("memory", "read", peaks->read_bytes, threads, "GB/s");
    print_rate("memory", "copy", peaks->copy_bytes, threads, "GB/s");
    print_rate("memory", "update's 5 streams", peaks->update_bytes, threads, "GB/s");
}

/* What the columns of a table mean; see op_counts.h. */
static void print_legend(void)
{
    fputs("\nGFLOP: products of the direct convolution that meet a pixel, none with the padding. MB: every operand "
          "once,\n"
          "weights once a rank. limit: the larger of both at the rates above. Winograd, which needs fewer products, and\n"
          "operands that stay in a cache can pass 100 %. bound: the same with the products that the algorithm in use\n"
          "makes; its transforms do not count.\n",
          stdout);
}

/* Prints times, operations, rates, limit and fraction; what does not apply stays blank. */
static void print_measurement(const measurement *m)
{
    printf(" %9.3f %9.3f", m->median_s * MILLI, m->least_s * MILLI);
    if (m->ops.flops > 0)
        printf(" %8.3f %8.1f", m->ops.flops * GIGA, m->ops.flops * GIGA / m->median_s);
    else
        printf(" %8s %8s", "", "");
    if (op_count_bytes(m->ops) > 0)
        printf(" %8.1f %7.1f", op_count_bytes(m->ops) * MEGA, op_count_bytes(m->ops) * GIGA / m->median_s);
    else
        printf(" %8s %7s", "", "");
    if (m->limit_s > 0) printf(" %9.3f %7.1f %%", m->limit_s * MILLI, 100 * measurement_fraction(m));
    if (m->bound_s > 0) printf(" %9.3f %7.1f %%", m->bound_s * MILLI, 100 * m->bound_s / m->median_s);
    putchar('\n');
}

static void print_columns(const char *first, const char *second, const char *third)
{
    printf("\n%-6s %-18s %-16s %9s %9s %8s %8s %8s %7s %9s %9s %9s %9s\n", first, second, third, "median ms", "least ms", "GFLOP",
           "GFLOP/s", "MB", "GB/s", "limit ms", "of limit", "bound ms", "of bound");
}

static void print_layers(const bench_result *result)
{
    print_columns("layer", "pass", "algorithm");
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            const measurement *m = &result->layers[layer][pass];
            if (m->ops.flops <= 0) continue;
            printf("%-6s %-18s %-16s", model_layers[layer].name, bench_pass_names[pass], result->algorithms[layer][pass]);
            print_measurement(m);
        }
    }
}

/* Names the layers whose weight gradients are computed in the update, since these have no line among the layers. */
static void print_in_update(const bench_result *result)
{
    int count = 0;
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        if (!result->in_update[layer]) continue;
        printf(count++ == 0 ? "\nweight gradients made in the update: %s" : ", %s", model_layers[layer].name);
    }
    if (count > 0) printf(" (--no-factors: in backward)\n");
}

static void print_step(const bench_config *config, const bench_result *result)
{
    print_columns("step", "part", "");
    for (int part = 0; part < STEP_PARTS; part++) {
        printf("%-6s %-18s %-16s", "", bench_step_names[part], part == STEP_EXCHANGE_AND_UPDATE ? result->exchange : "");
        print_measurement(&result->step[part]);
    }
    print_in_update(result);
    if (result->tile_products > 0)
        printf("\nproducts of matrix tiles: %.3f million, %.3f times the fewest\n", result->tile_products * 1e-6,
               result->tile_products / result->fewest_tile_products);
    printf("\nexchange %s\n%.1f images/s at batch %zu in %s\n", result->reason,
           (double)config->step.batch_size / result->step[STEP_WHOLE].median_s, config->step.batch_size,
           config->step.network.precision == PRECISION_BF16 ? "bf16" : "fp32");
}

static void print_exchange(const exchange_result *strategy)
{
    const measurement *m = &strategy->total;
    if (*strategy->declined) {
        printf("%-12s %s\n", strategy->name, strategy->declined);
        return;
    }
    printf("%-12s %11.3f %9.3f %9.3f %9.1f %11.1f %7.1f %9.3f %7.1f %% %9.1f %9.1f\n", strategy->name, strategy->exchange_s * MILLI,
           strategy->update_s * MILLI, m->median_s * MILLI, strategy->cost.bytes_sent * MEGA, strategy->cost.bytes_touched * MEGA,
           strategy->cost.bytes_touched * GIGA / m->median_s, m->limit_s * MILLI, 100 * measurement_fraction(m),
           strategy->cost.memory_rank_bytes * MEGA, strategy->cost.memory_node_bytes * MEGA);
}

/* MB sent and touched are of one rank; the limit is the time of the least traffic that any strategy needs. */
static void print_exchanges(const bench_result *result)
{
    printf("\n%-12s %11s %9s %9s %9s %11s %7s %9s %9s %9s %9s\n", "strategy", "exchange ms", "update ms", "both ms", "MB sent",
           "MB touched", "GB/s", "limit ms", "of limit", "MB a rank", "MB a node");
    for (int i = 0; i < result->exchange_count; i++) print_exchange(&result->exchanges[i]);
}

void bench_print_text(const bench_config *config, const bench_result *result)
{
    print_machine(config, result);
    if (config->part->layers || config->part->step) print_legend();
    if (config->part->layers) print_layers(result);
    if (config->part->step) print_step(config, result);
    if (config->part->exchange) print_exchanges(result);
    fflush(stdout);
}

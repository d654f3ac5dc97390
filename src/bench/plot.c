/* Pictures: the time of each layer and pass with its limit, and the roofline. */
#include <stdio.h>

#include "bench/result.h"
#include "vgg11/report/gnuplot.h"

enum { POINT_SHAPE = 1 }; /* gnuplot's: cross, saltire, star */

static const char *const colours[CONV_PASSES] = {"#1f77b4", "#ff7f0e", "#2ca02c"};

static double gigaflops(const measurement *m) { return m->ops.flops / m->median_s * 1e-9; }
static double intensity(const measurement *m) { return m->ops.flops / op_count_bytes(m->ops); }

/* Prints a data block: for each layer its name, then the median and the limit of each pass in ms. */
static void print_times(FILE *script, const bench_result *result)
{
    fputs("$times << END\n", script);
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        fputs(model_layers[layer].name, script);
        for (int pass = 0; pass < CONV_PASSES; pass++)
            fprintf(script, " %.6g %.6g", result->layers[layer][pass].median_s * 1e3, result->layers[layer][pass].limit_s * 1e3);
        fputc('\n', script);
    }
    fputs("END\n", script);
}

/* Prints a data block for a pass: operations per byte and GFLOP/s of each layer. */
static void print_rates(FILE *script, const bench_result *result, int pass)
{
    fprintf(script, "$rates%d << END\n", pass);
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        const measurement *m = &result->layers[layer][pass];
        if (m->median_s <= 0) continue;
        fprintf(script, "%.6g %.6g\n", intensity(m), gigaflops(m));
    }
    fputs("END\n", script);
}

/* Prints a data block of the places of the layers' names, above the fastest pass of each. */
static void print_names(FILE *script, const bench_result *result)
{
    fputs("$names << END\n", script);
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        const measurement *fastest = &result->layers[layer][CONV_FORWARD];
        for (int pass = 1; pass < CONV_PASSES; pass++) {
            const measurement *m = &result->layers[layer][pass];
            if (m->median_s > 0 && gigaflops(m) > gigaflops(fastest)) fastest = m;
        }
        fprintf(script, "%.6g %.6g %s\n", intensity(fastest), gigaflops(fastest), model_layers[layer].name);
    }
    fputs("END\n", script);
}

/* Prints commands that draw three bars for each layer, one for each pass, with its limit as a dark bar within. */
static void print_bars(FILE *script)
{
    fputs("set output 'layers.svg'\nset style fill solid 0.8 noborder\nset ylabel 'ms a step (dark: what the limits "
          "allow)'\n"
          "set yrange [0:*]\nset xrange [-0.6:11.6]\nset xlabel ''\nplot ",
          script);
    for (int pass = 0; pass < CONV_PASSES; pass++) {
        const double centre = 0.28 * (pass - 1);
        fprintf(script, "$times using ($0+%g):%d:(0.26)%s with boxes lc rgb '%s' title '%s', ", centre, 2 + 2 * pass,
                pass == 0 ? ":xtic(1)" : "", colours[pass], bench_pass_names[pass]);
        fprintf(script, "$times using ($0+%g):%d:(0.1) with boxes lc rgb '#303030' notitle%s", centre, 3 + 2 * pass,
                pass + 1 < CONV_PASSES ? ", " : "\nset output\n");
    }
}

static void print_roofline(FILE *script, const bench_config *config, const machine_peaks *peaks)
{
    fprintf(script,
            "set output 'roofline.svg'\nset logscale xy\nset xrange [0.5:2000]\nset yrange [*:%.6g]\nset xtics auto\n"
            "set xlabel 'operations per byte of memory traffic'\nset ylabel 'GFLOP/s'\n"
            "peak = %.6g\nbandwidth = %.6g\n"
            "plot (x*bandwidth < peak ? x*bandwidth : peak) with lines lw 2 lc rgb '#303030' title 'limit'",
            op_count_peak_flops(peaks, config->step.network.precision) * 4e-9,
            op_count_peak_flops(peaks, config->step.network.precision) * 1e-9, machine_bandwidth(peaks) * 1e-9);
    for (int pass = 0; pass < CONV_PASSES; pass++) {
        fprintf(script, ", $rates%d using 1:2 with points pt %d ps 1 lw 2 lc rgb '%s' title '%s'", pass, POINT_SHAPE + pass,
                colours[pass], bench_pass_names[pass]);
    }
    fputs(", $names using 1:2:3 with labels offset 0,0.7 font ',10' notitle\nset output\n", script);
}

typedef struct {
    const bench_config *config;
    const bench_result *result;
} benchmark;

static void print_script(FILE *script, const void *context)
{
    const bench_config *config = ((const benchmark *)context)->config;
    const bench_result *result = ((const benchmark *)context)->result;
    print_times(script, result);
    for (int pass = 0; pass < CONV_PASSES; pass++) print_rates(script, result, pass);
    print_names(script, result);
    fprintf(script,
            "set terminal svg size 900,480 font 'sans,12' background rgb 'white'\nset grid\nset key outside top center "
            "horizontal\nset title \"%s, batch %zu, "
            "%d x %d threads\" noenhanced\n",
            config->step.network.precision == PRECISION_BF16 ? "bf16" : "fp32", config->step.batch_size, result->ranks,
            config->step.network.threads);
    print_bars(script);
    print_roofline(script, config, &result->peaks);
}

vgg_status bench_plot(const bench_config *config, const bench_result *result)
{
    static const char *const files[] = {"layers.svg", "roofline.svg", NULL};
    return gnuplot_draw_into(config->plot, files, print_script, &(benchmark){config, result});
}

#include "app/doctor_charts.h"

#include <math.h>
#include <stdio.h>

#include "vgg11/report/gnuplot.h"

enum { BAR_COLUMNS = 24 };

static void print_bar(double share)
{
    int length = share > 0 ? (int)lround(fmin(share, 1) * BAR_COLUMNS) : 0;
    for (int i = 0; i < BAR_COLUMNS; i++) putchar(i < length ? '#' : ' ');
}

/* Powers of ten between which the bars of some numbers lie. */
typedef struct {
    double low, high;
} decades;

static decades decades_of(const double values[MODEL_LAYERS])
{
    decades range = {INFINITY, -INFINITY};
    for (int i = 0; i < MODEL_LAYERS; i++) {
        if (!(values[i] > 0) || !isfinite(values[i])) continue;
        range.low = fmin(range.low, log10(values[i]));
        range.high = fmax(range.high, log10(values[i]));
    }
    range.low = floor(range.low - 0.5);
    return range;
}

static double share_of(double value, const decades *range)
{
    return value > 0 && isfinite(value) ? (log10(value) - range->low) / (range->high - range->low) : 0;
}

static void print_layers(const doctor_start *start)
{
    decades outputs = decades_of(start->activation), gradients = decades_of(start->gradient);
    printf("\nroot mean square by layer, before the first step (bars: logarithms)\n%-5s  %-*s  %s\n", "", BAR_COLUMNS + 9,
           "outputs", "gradient of the kernel");
    for (int i = 0; i < MODEL_LAYERS; i++) {
        printf("%-5s  %8.2g ", model_layers[i].name, start->activation[i]);
        print_bar(share_of(start->activation[i], &outputs));
        printf("  %8.2g ", start->gradient[i]);
        print_bar(share_of(start->gradient[i], &gradients));
        putchar('\n');
    }
}

static void print_trial(const char *name, const doctor_trial *trial)
{
    printf("%-9s %-8.3g %8.4f -> ", name, trial->lr, trial->losses[0]);
    if (doctor_ran_away(trial))
        printf("ran away in step %d\n", trial->steps);
    else {
        printf("%-8.4f ", doctor_last_loss(trial));
        print_bar(doctor_progress(trial));
        putchar('\n');
    }
}

static void print_rates(const doctor_measures *measures)
{
    printf("\nlearning rate: loss of one batch before and after %d steps (bars: the share that is gone)\n", DOCTOR_STEPS - 1);
    for (int i = 0; i < DOCTOR_RATES; i++) print_trial("", &measures->rates[i]);
    print_trial("as asked", &measures->asked);
}

void doctor_charts_print(const doctor_measures *measures)
{
    const doctor_by_heart *heart = &measures->by_heart;
    print_layers(&measures->start);
    print_rates(measures);
    printf("\nthe same batch by heart: loss %.4f after %d steps at %.3g\n", heart->loss, heart->steps, heart->lr);
}

static void print_layer_data(FILE *script, const doctor_start *start)
{
    fputs("$layers << END\n", script);
    for (int i = 0; i < MODEL_LAYERS; i++)
        fprintf(script, "%s %.6g %.6g\n", model_layers[i].name, start->activation[i], start->gradient[i]);
    fputs("END\n", script);
}

/* A loss that is no number, or far off, is left out: its rate has no point. */
static void print_rate_data(FILE *script, const doctor_measures *measures)
{
    fputs("$rates << END\n", script);
    for (int i = 0; i < DOCTOR_RATES; i++) {
        const doctor_trial *trial = &measures->rates[i];
        if (!doctor_ran_away(trial)) fprintf(script, "%.6g %.6g\n", trial->lr, doctor_last_loss(trial));
    }
    fputs("END\n$asked << END\n", script);
    if (!doctor_ran_away(&measures->asked)) fprintf(script, "%.6g %.6g\n", measures->asked.lr, doctor_last_loss(&measures->asked));
    fputs("END\n", script);
}

static void print_script(FILE *script, const void *context)
{
    const doctor_measures *measures = context;
    print_layer_data(script, &measures->start);
    print_rate_data(script, measures);
    fprintf(
        script,
        "set terminal pngcairo size 900,480 background rgb 'white'\nset grid\nset key outside top center horizontal\n"
        "set output 'layers.png'\nset logscale y\nset format y '10^{%%T}'\nset xrange [-0.5:%d.5]\n"
        "set ylabel 'root mean square, before the first step'\n"
        "plot $layers using 0:2:xtic(1) with linespoints lw 2 title 'outputs', "
        "$layers using 0:3 with linespoints lw 2 title 'gradient of the kernel'\nset output\n"
        "set output 'rates.png'\nunset logscale y\nset logscale x\nset format y '%%g'\nset format x '10^{%%T}'\nset xtics auto\n"
        "set xrange [5e-6:2]\nset yrange [0:*]\nset xlabel 'learning rate'\nset ylabel 'loss of one batch after %d steps'\n"
        "plot %.6g with lines dt 2 lc rgb '#808080' title 'before', $rates with linespoints lw 2 title 'after'",
        MODEL_LAYERS - 1, DOCTOR_STEPS - 1, measures->asked.losses[0]);
    if (!doctor_ran_away(&measures->asked)) fputs(", $asked with points pt 7 ps 1.5 title 'at the rate asked for'", script);
    fputs("\nset output\n", script);
}

vgg_status doctor_charts_draw(const doctor_measures *measures, const char *folder)
{
    static const char *const files[] = {"layers.png", "rates.png", NULL};
    return gnuplot_draw_into(folder, files, print_script, measures);
}

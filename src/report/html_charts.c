#include "report/html_charts.h"

#include "report/chart.h"

enum { POINTS = 600, SHARES = 60, DOTS_MOST = 100 };

static chart_curve training_curve(const run_record *record, const char *name, int column, double scale)
{
    return (chart_curve){.name = name, .rows = &record->steps, .column = column, .scale = scale, .most = POINTS, .unit = ""};
}

static chart_curve spread_curve(const run_record *record, const char *name, int column, double scale)
{
    chart_curve curve = training_curve(record, name, column, scale);
    curve.spread = true;
    return curve;
}

static chart_curve evaluation_curve(const run_record *record, const char *set, int column, double scale, const char *unit)
{
    const series *evals = &record->evals;
    return (chart_curve){.name = set,
                         .rows = evals,
                         .column = column,
                         .scale = scale,
                         .most = POINTS,
                         .dots = evals->count <= DOTS_MOST,
                         .unit = unit};
}

static void print_learning(FILE *out, const run_record *record, const char *set)
{
    const chart charts[] = {
        {.title = "Loss",
         .unit = "loss",
         .logarithmic = true,
         .curves = {spread_curve(record, "training", STEP_LOSS, 1), evaluation_curve(record, set, EVAL_LOSS, 1, "")},
         .count = 2},
        {.title = "Accuracy",
         .unit = "%",
         .curves = {spread_curve(record, "training", STEP_ACCURACY, 100), evaluation_curve(record, set, EVAL_ACCURACY, 100, " %")},
         .count = 2},
        {.title = "Learning rate",
         .unit = "rate",
         .from_zero = true,
         .curves = {training_curve(record, "rate", STEP_RATE, 1)},
         .count = 1},
    };
    for (size_t i = 0; i < sizeof charts / sizeof charts[0]; i++) chart_write(out, &charts[i], record);
}

static void print_gradient(FILE *out, const run_record *record, double clip_norm)
{
    chart norm = {.title = "Gradient norm",
                  .unit = "L2 norm before clipping",
                  .logarithmic = true,
                  .level = clip_norm,
                  .level_name = "clipped to",
                  .curves = {spread_curve(record, "norm", STEP_NORM, 1)},
                  .count = 1};
    chart clipped = {.title = "Clipped steps",
                     .unit = "% of steps",
                     .from_zero = true,
                     .curves = {training_curve(record, "share", STEP_CLIPPED, 100)},
                     .count = 1};
    clipped.curves[0].most = SHARES;
    chart_write(out, &norm, record);
    chart_write(out, &clipped, record);
}

static void print_speed(FILE *out, const run_record *record)
{
    const chart speed = {.title = "Throughput",
                         .unit = "images/s",
                         .from_zero = true,
                         .curves = {spread_curve(record, "images/s", STEP_SPEED, 1)},
                         .count = 1};
    const chart phases = {.title = "Time of a step",
                          .unit = "ms",
                          .from_zero = true,
                          .curves = {training_curve(record, "forward and backward", STEP_COMPUTE, 1e3),
                                     training_curve(record, "exchange not hidden", STEP_EXCHANGE, 1e3),
                                     training_curve(record, "update", STEP_UPDATE, 1e3)},
                          .count = 3};
    chart_write(out, &speed, record);
    chart_write(out, &phases, record);
}

void html_write_charts(FILE *out, const run_record *record, const char *set, double clip_norm)
{
    print_learning(out, record, set);
    print_gradient(out, record, clip_norm);
    print_speed(out, record);
}

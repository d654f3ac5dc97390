#include "report/totals.h"

#include <string.h>

#include "report/metrics_file.h"

/* A process that was killed has no line of its end: what it told of is then all that is known. */
static void end_process(run_totals *totals, double wall_s)
{
    totals->wall_s += wall_s;
    totals->unended_s = 0;
}

static void add_start(run_totals *totals, const json_t *line)
{
    (void)line;
    totals_add_start(totals);
}

static void add_step(run_totals *totals, const json_t *line)
{
    double step_s = metrics_number(line, "step_s");
    totals->steps++;
    totals->images += metrics_count(line, "samples");
    totals->train_s += step_s;
    totals->exchange_s += metrics_number(line, "exchange_s");
    totals->unended_s += step_s;
}

static void add_eval(run_totals *totals, const json_t *line)
{
    totals->evaluations++;
    totals->eval_s += metrics_number(line, "eval_s");
    totals->unended_s += metrics_number(line, "eval_s");
}

/* Earlier versions always waited. */
static void add_checkpoint(run_totals *totals, const json_t *line)
{
    double stall_s = metrics_number(line, json_object_get(line, "stall_s") ? "stall_s" : "save_s");
    totals_add_stall(totals, stall_s);
    totals->unended_s += stall_s;
}

/* It took its time, and has no samples. */
static void add_skip(run_totals *totals, const json_t *line)
{
    totals_add_skip(totals);
    add_step(totals, line);
}

static void add_end(run_totals *totals, const json_t *line)
{
    uint64_t peak = metrics_count(line, "memory_peak_bytes");
    end_process(totals, metrics_number(line, "wall_s"));
    if (peak > totals->memory_peak_bytes) totals->memory_peak_bytes = peak;
}

static const struct {
    const char *event;
    void (*add)(run_totals *totals, const json_t *line);
} kinds[] = {{"start", add_start},           {"step", add_step}, {"skip", add_skip}, {"eval", add_eval},
             {"checkpoint", add_checkpoint}, {"end", add_end}};

void totals_add_line(run_totals *totals, const json_t *line)
{
    const char *event = json_string_value(json_object_get(line, "event"));
    for (size_t i = 0; event && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].event, event) == 0) kinds[i].add(totals, line);
}

void totals_add_start(run_totals *totals)
{
    end_process(totals, totals->unended_s);
    totals->processes++;
}

void totals_add_eval(run_totals *totals, const run_eval_event *event)
{
    totals->evaluations++;
    totals->eval_s += event->eval_s;
}

void totals_add_skip(run_totals *totals) { totals->skipped++; }
void totals_add_stall(run_totals *totals, double stall_s) { totals->stall_s += stall_s; }

void totals_add_end(run_totals *totals, const run_end_event *event)
{
    end_process(totals, event->wall_s);
    totals->steps += event->steps;
    totals->images += event->images;
    totals->train_s += event->train_s;
    totals->exchange_s += event->exchange_s * (double)event->steps;
    if (event->memory_peak_bytes > totals->memory_peak_bytes) totals->memory_peak_bytes = event->memory_peak_bytes;
}

/* What the file of timed choices holds, and how far runs spread. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conv/autotune_impl.h"
#include "vgg11/base/median.h"

double timed_runs_spread(timed_runs *runs)
{
    if (runs->count == 0) return 0;
    double middle = median_sort(runs->seconds, (size_t)runs->count);
    return runs->seconds[0] > 0 ? middle / runs->seconds[0] - 1 : 0;
}

/* Spreads of the own choices, in an array that grows. */
typedef struct {
    double *values;
    int count;
} spread_list;

static bool add_spread(spread_list *list, double spread)
{
    double *larger = realloc(list->values, ((size_t)list->count + 1) * sizeof *larger);
    if (!larger) return false;
    list->values = larger;
    larger[list->count++] = spread;
    return true;
}

static void note_time(int64_t time, conv_cache_summary *summary)
{
    if (time <= 0) return;
    if (summary->oldest == 0 || time < summary->oldest) summary->oldest = time;
    if (time > summary->newest) summary->newest = time;
}

/* False without memory. */
static bool count_line(const char *line, const char *machine, spread_list *spreads, conv_cache_summary *summary)
{
    char layer[CACHE_LAYER_MAX], row[CACHE_ROW_MAX];
    int pass;
    recorded_choice choice;
    const char *tab = strchr(line, '\t');
    if (!tab || !strchr(line, '\n') || !autotune_cache_read(tab + 1, layer, &pass, row, &choice)) return true;
    summary->choices++;
    if (strncmp(line, machine, strlen(machine)) != 0) return true;
    summary->own++;
    note_time(choice.time, summary);
    return !(isfinite(choice.spread) && choice.spread >= 0) || add_spread(spreads, choice.spread);
}

bool conv_cache_summarize(const char *path, conv_cache_summary *summary)
{
    char machine[CACHE_MACHINE_MAX], line[CACHE_LINE_MAX];
    spread_list spreads = {NULL, 0};
    *summary = (conv_cache_summary){.median_spread = -1, .most_spread = -1};
    FILE *file = autotune_cache_open(path);
    if (!file) return false;
    autotune_cache_machine(machine);
    bool whole = true;
    while (whole && fgets(line, sizeof line, file)) whole = count_line(line, machine, &spreads, summary);
    fclose(file);
    if (whole && spreads.count > 0) {
        summary->median_spread = median_sort(spreads.values, (size_t)spreads.count);
        summary->most_spread = spreads.values[spreads.count - 1];
    }
    free(spreads.values);
    if (!whole) *summary = (conv_cache_summary){.median_spread = -1, .most_spread = -1};
    return whole;
}

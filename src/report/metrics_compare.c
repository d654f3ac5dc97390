#include "vgg11/report/metrics_compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report/metrics_file.h"
#include "vgg11/base/file.h"

const char *const metrics_quantity_names[METRICS_QUANTITIES] = {
    [METRICS_SKIPPED] = "skipped",
    [METRICS_SAMPLES] = "samples",
    [METRICS_LOSS] = "loss",
    [METRICS_ACCURACY] = "accuracy",
    [METRICS_GRAD_NORM] = "grad_norm",
    [METRICS_CLIP_SCALE] = "clip_scale",
    [METRICS_LR] = "lr",
    [METRICS_TEST_LOSS] = "test_loss",
    [METRICS_TEST_ACCURACY] = "test_accuracy",
};

/* A step, an evaluation after it, or both. */
typedef struct {
    uint64_t step;
    bool stepped, evaluated;
    double values[METRICS_QUANTITIES];
} record;

/* In ascending order of their steps, each once. */
typedef struct {
    record *records;
    size_t count;
    size_t capacity;
    json_t *starts; /* the lines `start` */
    bool starved;
} record_list;

/* What a run that goes back takes again is no longer what it did. */
static void drop_from(record_list *list, uint64_t step)
{
    while (list->count > 0 && list->records[list->count - 1].step >= step) list->count--;
}

/* NULL without memory. */
static record *append(record_list *list, uint64_t step)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 256;
        record *grown = realloc(list->records, capacity * sizeof *grown);
        if (!grown) return NULL;
        list->records = grown;
        list->capacity = capacity;
    }
    record *added = &list->records[list->count++];
    *added = (record){.step = step};
    return added;
}

static void read_values(const json_t *line, int first, int behind, record *into)
{
    for (int i = first; i < behind; i++) {
        const json_t *value = json_object_get(line, metrics_quantity_names[i]);
        into->values[i] = json_is_number(value) ? json_number_value(value) : NAN;
    }
}

static void add_step(record_list *list, const json_t *line, uint64_t step, bool skipped)
{
    drop_from(list, step);
    record *added = append(list, step);
    list->starved |= !added;
    if (!added) return;
    read_values(line, METRICS_SAMPLES, METRICS_TEST_LOSS, added);
    added->stepped = true;
    added->values[METRICS_SKIPPED] = skipped;
}

static void add_evaluation(record_list *list, const json_t *line, uint64_t step)
{
    drop_from(list, step + 1);
    bool after = list->count > 0 && list->records[list->count - 1].step == step;
    record *into = after ? &list->records[list->count - 1] : append(list, step);
    list->starved |= !into;
    if (!into) return;
    read_values(line, METRICS_TEST_LOSS, METRICS_QUANTITIES, into);
    into->evaluated = true;
}

static void add_line(void *context, const json_t *line)
{
    record_list *list = context;
    const char *event = json_string_value(json_object_get(line, "event"));
    uint64_t step = metrics_count(line, "step");
    if (!event || list->starved) return;
    if (strcmp(event, "start") == 0) list->starved = json_array_append(list->starts, (json_t *)line) != 0;
    if (step == 0) return;
    bool skipped = strcmp(event, "skip") == 0;
    if (skipped || strcmp(event, "step") == 0)
        add_step(list, line, step, skipped);
    else if (strcmp(event, "eval") == 0)
        add_evaluation(list, line, step);
    else if (strcmp(event, "rollback") == 0)
        drop_from(list, step + 1);
}

/* The caller frees the list's members. */
static vgg_status read_records(const char *path, record_list *list)
{
    int file;
    VGG_TRY(file_open_to_read(path, &file));
    close(file);
    list->starts = json_array();
    list->starved = !list->starts;
    VGG_TRY(metrics_file_read(path, add_line, list));
    return list->starved ? vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory to read it", path) : VGG_OK;
}

static void widen(metrics_range *range, const record *one)
{
    if (!one->stepped) return;
    if (range->count++ == 0) range->first = one->step;
    range->last = one->step;
}

/* NAN is one number here, so that what is missing in both is the same. */
static bool differs(const record *const records[2], int quantity)
{
    bool evaluated = metrics_is_evaluated((metrics_quantity)quantity);
    for (int i = 0; i < 2; i++) {
        if (!(evaluated ? records[i]->evaluated : records[i]->stepped)) return false;
    }
    const double *a = &records[0]->values[quantity], *b = &records[1]->values[quantity];
    return !(isnan(*a) && isnan(*b)) && memcmp(a, b, sizeof *a) != 0;
}

static void compare_step(const record *const records[2], metrics_comparison *comparison)
{
    for (int i = METRICS_QUANTITIES - 1; i >= 0; i--) {
        comparison->unlike[i] = differs(records, i);
        if (!comparison->unlike[i]) continue;
        comparison->step = records[0]->step;
        comparison->first = (metrics_quantity)i;
    }
    for (int i = 0; i < METRICS_QUANTITIES; i++)
        for (int side = 0; side < 2; side++) comparison->values[i][side] = records[side]->values[i];
}

static void compare_lists(const record_list lists[2], metrics_comparison *comparison)
{
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < lists[side].count; i++) widen(&comparison->all[side], &lists[side].records[i]);
    for (size_t i = 0, j = 0; i < lists[0].count && j < lists[1].count;) {
        const record *const pair[2] = {&lists[0].records[i], &lists[1].records[j]};
        if (pair[0]->step == pair[1]->step) {
            if (pair[0]->stepped) widen(&comparison->common, pair[1]);
            if (comparison->step == 0) compare_step(pair, comparison);
        }
        i += pair[0]->step <= pair[1]->step;
        j += pair[1]->step <= pair[0]->step;
    }
}

/* The last of those before which fewer steps were done: a run that goes back, or on from an older checkpoint, has them in any order. */
static vgg_status find_start(const record_list *list, uint64_t step, char **text)
{
    const json_t *line, *found = NULL;
    size_t i;
    json_array_foreach(list->starts, i, line) if (metrics_count(line, "step") < step) found = line;
    if (found) *text = json_dumps(found, JSON_COMPACT);
    return !found || *text ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "not enough memory to compare metrics");
}

void metrics_comparison_clear(metrics_comparison *comparison)
{
    for (int i = 0; i < 2; i++) free(comparison->starts[i]);
    memset(comparison, 0, sizeof *comparison);
}

vgg_status metrics_compare(const char *const paths[2], metrics_comparison *comparison)
{
    record_list lists[2] = {{0}, {0}};
    memset(comparison, 0, sizeof *comparison);
    vgg_status status = read_records(paths[0], &lists[0]);
    if (status == VGG_OK) status = read_records(paths[1], &lists[1]);
    if (status == VGG_OK) compare_lists(lists, comparison);
    for (int i = 0; i < 2; i++) {
        if (status == VGG_OK) status = find_start(&lists[i], comparison->step, &comparison->starts[i]);
        json_decref(lists[i].starts);
        free(lists[i].records);
    }
    return status;
}

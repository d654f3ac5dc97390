#include "app/options/assignment.h"

#include <stdlib.h>
#include <string.h>

#include "app/options/value.h"

vgg_status assignment_add(assignment_list *list, const option_row *row, const char *value, const char *where)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        assignment *items = realloc(list->items, capacity * sizeof *items);
        if (!items) return vgg_fail(VGG_UNAVAILABLE, "not enough memory to read the options");
        list->items = items;
        list->capacity = capacity;
    }
    assignment *item = &list->items[list->count++];
    *item = (assignment){row, strdup(value), strdup(where)};
    if (!item->value || !item->where) return vgg_fail(VGG_UNAVAILABLE, "not enough memory to read the options");
    return VGG_OK;
}

void assignment_free(assignment_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].value);
        free(list->items[i].where);
    }
    free(list->items);
    memset(list, 0, sizeof *list);
}

const char *assignment_last(const assignment_list *list, const char *name)
{
    for (size_t i = list->count; i-- > 0;) {
        if (strcmp(list->items[i].row->name, name) == 0) return list->items[i].value;
    }
    return NULL;
}

/* Letters in common at the start and at the end, out of the longer word's: enough to tell a slip from another word. */
static double likeness(const char *a, const char *b)
{
    size_t longer = strlen(a) > strlen(b) ? strlen(a) : strlen(b), shorter = strlen(a) + strlen(b) - longer;
    size_t head = 0, tail = 0;
    while (head < shorter && a[head] == b[head]) head++;
    while (tail < shorter - head && a[strlen(a) - 1 - tail] == b[strlen(b) - 1 - tail]) tail++;
    return longer ? (double)(head + tail) / (double)longer : 0;
}

vgg_status option_unknown(const char *where, const char *name)
{
    static const double likely = 0.6;
    const option_row *best = NULL;
    double best_likeness = likely;
    for (const option_row *row = option_table; row->name; row++) {
        if (likeness(name, row->name) < best_likeness) continue;
        best = row;
        best_likeness = likeness(name, row->name);
    }
    char shown[OPTION_SHOWN_BYTES];
    option_shown(name, shown);
    if (best) return vgg_fail(VGG_BAD_OPTION, "%sunknown option '%s'; did you mean '%s'?", where, shown, best->name);
    return vgg_fail(VGG_BAD_OPTION, "%sunknown option '%s'; vgg11_dist --help lists them", where, shown);
}

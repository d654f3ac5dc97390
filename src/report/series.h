/* Private to report: the numbers of metrics.jsonl as columns. */
#ifndef VGG11_REPORT_SERIES_H
#define VGG11_REPORT_SERIES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "vgg11/base/status.h"

enum { SERIES_COLUMNS = 13 };

/* Rows of one kind of event: row i is values[i][0..SERIES_COLUMNS-1], by step where the first is that; NaN where the event had no such
 * number. */
typedef struct {
    double (*values)[SERIES_COLUMNS];
    size_t count;
    size_t capacity;
} series;

/* Appends a row with the numbers of an event's fields (NULL ends them early). False without memory. */
bool series_add(series *rows, const json_t *event, const char *const fields[SERIES_COLUMNS]);

/* Appends a row for each line of `path` whose event is `event`, with the numbers of the fields named (NULL ends them early).
 * Lines that are not JSON are passed over. VGG_IO_ERROR if the file cannot be read, or memory is short. */
vgg_status series_read(const char *path, const char *event, const char *const fields[SERIES_COLUMNS], series *rows);
void series_free(series *rows);

/* Replaces runs of neighbours by their means, so that at most `most` rows are left: a picture shows no more. */
void series_thin(series *rows, size_t most);

#endif

#include "report/series.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "vgg11/base/file.h"

static double number_of(const json_t *object, const char *field)
{
    const json_t *value = field ? json_object_get(object, field) : NULL;
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static double *append_row(series *rows)
{
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity ? 2 * rows->capacity : 256;
        void *grown = realloc(rows->values, capacity * sizeof rows->values[0]);
        if (!grown) return NULL;
        rows->values = grown;
        rows->capacity = capacity;
    }
    return rows->values[rows->count++];
}

bool series_add(series *rows, const json_t *event, const char *const fields[SERIES_COLUMNS])
{
    double *row = append_row(rows);
    for (int i = 0; row && i < SERIES_COLUMNS; i++) row[i] = number_of(event, fields[i]);
    return row;
}

static bool read_line(const char *line, const char *event, const char *const fields[SERIES_COLUMNS], series *rows)
{
    json_t *object = json_parse_text(line);
    const char *found = json_string_value(json_object_get(object, "event"));
    bool good = !found || strcmp(found, event) != 0 || series_add(rows, object, fields);
    json_decref(object);
    return good;
}

vgg_status series_read(const char *path, const char *event, const char *const fields[SERIES_COLUMNS], series *rows)
{
    int descriptor;
    VGG_TRY(file_open_to_read(path, &descriptor));
    FILE *file = fdopen(descriptor, "r");
    if (!file) {
        close(descriptor);
        return vgg_fail_errno(VGG_IO_ERROR, "%s: cannot read", path);
    }
    char *line = NULL;
    size_t capacity = 0;
    bool good = true;
    while (good && getline(&line, &capacity, file) > 0) good = read_line(line, event, fields, rows);
    free(line);
    good = good && !ferror(file);
    fclose(file);
    return good ? VGG_OK : vgg_fail(VGG_IO_ERROR, "%s: cannot read", path);
}

void series_free(series *rows)
{
    free(rows->values);
    memset(rows, 0, sizeof *rows);
}

void series_thin(series *rows, size_t most)
{
    size_t width = (rows->count + most - 1) / most;
    if (width <= 1) return;
    size_t kept = 0;
    for (size_t first = 0; first < rows->count; first += width, kept++) {
        size_t count = rows->count - first < width ? rows->count - first : width;
        double mean[SERIES_COLUMNS] = {0};
        for (size_t i = 0; i < count; i++) {
            for (int column = 0; column < SERIES_COLUMNS; column++) mean[column] += rows->values[first + i][column] / (double)count;
        }
        memcpy(rows->values[kept], mean, sizeof mean);
    }
    rows->count = kept;
}

/* Private to report: a file of JSON lines that survives a full disk and the end of the process at any time. */
#ifndef VGG11_REPORT_METRICS_FILE_H
#define VGG11_REPORT_METRICS_FILE_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "vgg11/base/status.h"

typedef struct {
    int descriptor;
    off_t whole_bytes; /* end of the last whole line */
    uint64_t lines_lost;
    int first_error; /* errno of the first write that failed */
} metrics_file;

/* Opens or creates `path`. With resume_step == 0 it is emptied; otherwise everything from the first line of a later step
 * on, and a last line that is torn, is cut off. What is cut off goes into a new file metrics.jsonl of the folder `aside`, which
 * exists. VGG_IO_ERROR names the path. */
vgg_status metrics_file_open(metrics_file *file, const char *path, uint64_t resume_step, const char *aside);

/* Appends one line, in one write, and drops the reference to `object` (NULL counts as a lost line). A line that cannot be
 * written whole is counted as lost and leaves no part of itself behind. */
void metrics_file_append(metrics_file *file, json_t *object);

void metrics_file_close(metrics_file *file);

/* Calls `add` with each line of `path`, so far as they can be read; NULL for one that is no JSON. VGG_UNAVAILABLE without memory: some
 * of the lines would be missing. */
vgg_status metrics_file_read(const char *path, void (*add)(void *context, const json_t *line), void *context);

/* 0 for what is not there, or is none. */
double metrics_number(const json_t *line, const char *field);
uint64_t metrics_count(const json_t *line, const char *field);

/* A JSON number, or null for NaN and Inf, which JSON does not have. */
json_t *metrics_real(double value);

#endif

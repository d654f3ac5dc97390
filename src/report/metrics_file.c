#include "report/metrics_file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/file.h"

/* Nine digits tell any two floats apart. */
enum { REAL_DIGITS = 9, PATH_BYTES = 4300 };

json_t *metrics_real(double value) { return isfinite(value) ? json_real(value) : json_null(); }

/* Whether this line belongs to later steps than `resume_step`: it names one, or the lines before it do (`later`) and the run did not go
 * back to a checkpoint here. */
static bool line_is_later(const char *line, size_t bytes, uint64_t resume_step, bool later)
{
    json_t *object = json_parse(line, bytes, 0, NULL);
    const char *event = json_string_value(json_object_get(object, "event"));
    bool further = json_integer_value(json_object_get(object, "step")) > (json_int_t)resume_step;
    bool rollback = event && strcmp(event, "rollback") == 0;
    json_decref(object);
    return further || (later && !rollback);
}

/* Bytes of the file that stay; -1 if memory ran out before that was known. */
static off_t find_cut(FILE *file, uint64_t resume_step)
{
    errno = 0;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    off_t kept = 0, end = 0;
    bool later = false;
    while ((length = getline(&line, &capacity, file)) > 0 && line[length - 1] == '\n') {
        end += length;
        later = line_is_later(line, (size_t)length, resume_step, later);
        if (!later) kept = end;
    }
    free(line);
    return errno == ENOMEM ? -1 : kept;
}

static off_t bytes_to_keep(int descriptor, uint64_t resume_step)
{
    if (resume_step == 0) return 0;
    int copy = dup(descriptor);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "r");
    if (!file) {
        if (copy >= 0) close(copy);
        return -1;
    }
    off_t kept = find_cut(file, resume_step);
    if (ferror(file)) kept = -1;
    fclose(file);
    return kept;
}

static bool copy_rest(int from, off_t first, off_t end, int to)
{
    while (first < end) {
        ssize_t copied = sendfile(to, from, &first, (size_t)(end - first));
        if (copied <= 0 && errno != EINTR) return false;
    }
    return fsync(to) == 0;
}

/* All that is to be cut off, before it is: a device has nothing to keep. */
static bool keep_rest(int descriptor, off_t first, const char *aside)
{
    char path[PATH_BYTES];
    struct stat status;
    if (first < 0 || fstat(descriptor, &status) != 0) return false;
    if (!S_ISREG(status.st_mode) || status.st_size <= first) return true;
    if (snprintf(path, sizeof path, "%s/metrics.jsonl", aside) >= (int)sizeof path) return false;
    int kept = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    bool good = kept >= 0 && copy_rest(descriptor, first, status.st_size, kept);
    good = (kept < 0 || close(kept) == 0) && good;
    return good && file_sync_folder(path) == VGG_OK;
}

static bool cut(int descriptor, off_t kept)
{
    struct stat status;
    return kept >= 0 && fstat(descriptor, &status) == 0 && (status.st_size == kept || ftruncate(descriptor, kept) == 0);
}

vgg_status metrics_file_open(metrics_file *file, const char *path, uint64_t resume_step, const char *aside)
{
    memset(file, 0, sizeof *file);
    VGG_TRY(file_open_own(path, &file->descriptor));
    file->whole_bytes = bytes_to_keep(file->descriptor, resume_step);
    if (!keep_rest(file->descriptor, file->whole_bytes, aside) || !cut(file->descriptor, file->whole_bytes)) {
        vgg_status status = vgg_fail_errno(VGG_IO_ERROR, "%s: cannot set aside what it has of later steps", path);
        close(file->descriptor);
        return status;
    }
    return VGG_OK;
}

double metrics_number(const json_t *line, const char *field) { return json_number_value(json_object_get(line, field)); }

uint64_t metrics_count(const json_t *line, const char *field)
{
    json_int_t count = json_integer_value(json_object_get(line, field));
    return count > 0 ? (uint64_t)count : 0;
}

vgg_status metrics_file_read(const char *path, void (*add)(void *context, const json_t *line), void *context)
{
    errno = 0;
    struct stat status; /* a device would never end */
    FILE *file = stat(path, &status) == 0 && S_ISREG(status.st_mode) ? fopen(path, "re") : NULL;
    char *text = NULL;
    size_t capacity = 0;
    bool starved = errno == ENOMEM;
    while (!starved && file && getline(&text, &capacity, file) > 0) {
        errno = 0; /* as jansson sets it, where it reads a number */
        json_t *line = json_parse_text(text);
        starved = !line && errno == ENOMEM;
        add(context, line);
        json_decref(line);
    }
    if (errno == ENOMEM) starved = true;
    free(text);
    if (file) fclose(file);
    return starved ? vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory to read it", path) : VGG_OK;
}

/* At a fixed place rather than at the end: the next line then overwrites what a failed write left. */
static bool write_at(metrics_file *file, const char *text, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t written = pwrite(file->descriptor, text + done, bytes - done, file->whole_bytes + (off_t)done);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        done += (size_t)written;
    }
    file->whole_bytes += (off_t)bytes;
    return true;
}

/* The line with its newline, for free(); NULL without memory. */
static char *line_of(const json_t *object, size_t *bytes)
{
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS)) : NULL;
    if (!text) return NULL;
    *bytes = strlen(text) + 1;
    char *line = realloc(text, *bytes + 1);
    if (!line)
        free(text);
    else
        memcpy(line + *bytes - 1, "\n", 2);
    return line;
}

void metrics_file_append(metrics_file *file, json_t *object)
{
    size_t bytes = 0;
    char time[CLOCK_UTC_MAX];
    errno = ENOMEM;
    json_object_set_new(object, "time", json_string(clock_utc(time)));
    char *line = line_of(object, &bytes);
    if (!line || !write_at(file, line, bytes)) {
        if (file->lines_lost++ == 0) file->first_error = errno;
    }
    free(line);
    json_decref(object);
}

void metrics_file_close(metrics_file *file)
{
    /* Failure leaves a torn last line, which readers and a resume cut off. */
    if (file->lines_lost) cut(file->descriptor, file->whole_bytes);
    if (close(file->descriptor) != 0 && file->first_error == 0) file->first_error = errno;
}

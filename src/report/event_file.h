/* Private to report: a file of TensorFlow events, as TensorBoard reads it. Records are framed as in TensorFlow's record_writer.h: length
 * (uint64), its masked CRC-32C, data, and that of the data, all little-endian; the data is a message Event of event.proto in protobuf's
 * encoding, of which the few fields are written here that a curve needs. */
#ifndef VGG11_REPORT_EVENT_FILE_H
#define VGG11_REPORT_EVENT_FILE_H

#include <stdint.h>
#include <sys/types.h>

#include "vgg11/base/status.h"

typedef struct {
    int descriptor;
    off_t whole_bytes; /* end of the last whole record */
    uint64_t lost;     /* records that could not be written */
    int first_error;   /* errno of the first of these */
} event_file;

/* A point of a curve. */
typedef struct {
    const char *tag; /* up to EVENT_TAG_MAX bytes: "train/loss" */
    float value;
} event_scalar;

enum { EVENT_SCALARS_MAX = 8, EVENT_TAG_MAX = 40 };

/* Makes the file `path`, which must not be there, and writes the version, which comes first. VGG_IO_ERROR. */
vgg_status event_file_create(const char *path, event_file *file);

/* Each appends one record with the time at which it is called, in one write. One that cannot be written whole is counted as lost, and the
 * next takes its place. */
void event_file_scalars(event_file *file, uint64_t step, const event_scalar *scalars, int count);

/* What was said of this step and later ones is void. */
void event_file_restart(event_file *file, uint64_t step);

/* Cuts off what a failed write left. */
void event_file_close(event_file *file);

#endif

/* Private to data: bytes of a regular file one after another, unpacked on the way if the file is gzipped. */
#ifndef VGG11_DATA_BYTE_STREAM_H
#define VGG11_DATA_BYTE_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/status.h"

typedef struct byte_stream byte_stream;

/* Opens `path`, which must be a regular file: a directory, a pipe or a device is refused without waiting on it. Whether it is
 * gzipped is seen from its first bytes, not from its name. The caller closes. `path` must outlive the stream. */
vgg_status stream_open(const char *path, byte_stream **out);
void stream_close(byte_stream *stream);

/* The next `bytes` bytes into `target`; VGG_BAD_DATA if the file ends before, or its compressed form is damaged. */
vgg_status stream_read(byte_stream *stream, void *target, size_t bytes);

/* Passes over the next `bytes` bytes. */
vgg_status stream_skip(byte_stream *stream, uint64_t bytes);

/* VGG_BAD_DATA unless the content ends here, its checksum is right, and nothing follows it in the file. */
vgg_status stream_expect_end(byte_stream *stream);

/* VGG_BAD_DATA if a file of this size cannot hold exactly `bytes` bytes of content. So a header's claim is bounded by what
 * lies on the disk before memory is taken for it. */
vgg_status stream_check_size(const byte_stream *stream, uint64_t bytes);

#endif

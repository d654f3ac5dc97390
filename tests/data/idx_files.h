/* Making IDX files for tests, good and bad, plain and gzipped. */
#ifndef VGG11_TESTS_IDX_FILES_H
#define VGG11_TESTS_IDX_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/range.h"
#include "vgg11/base/status.h"

typedef struct {
    uint8_t *bytes;
    size_t count;
} byte_buffer; /* freed with free(bytes) */

/* `words` big-endian header words, then `payload_bytes` bytes 0, 1 .. 9, 0, 1 .. */
byte_buffer idx_make(const uint32_t *header, int words, size_t payload_bytes);

/* One gzip member. */
byte_buffer gzip_bytes(const uint8_t *bytes, size_t count);

/* What a and b hold one after another; frees both. */
byte_buffer buffer_join(byte_buffer a, byte_buffer b);

/* folder/name in a static buffer, valid until the next call but three. */
const char *path_in(const char *folder, const char *name);

void file_write(const char *path, const uint8_t *bytes, size_t count);

/* The good data set of `count` images of rows x columns, with pixels 0..9 and labels 0..9, as four gzipped files. */
void idx_write_set(const char *folder, uint32_t count, uint32_t rows, uint32_t columns);

/* images[range.count][rows][columns] of a file, as the program reads them piece by piece. */
vgg_status idx_files_read_images(const char *path, vgg_range range, uint8_t *images);

#endif

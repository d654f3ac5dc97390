#include "idx_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "data/idx_reader.h"
#include "support/support.h"

byte_buffer idx_make(const uint32_t *header, int words, size_t payload_bytes)
{
    byte_buffer file = {malloc(4 * (size_t)words + payload_bytes + 1), 4 * (size_t)words + payload_bytes};
    for (int i = 0; i < 4 * words; i++) file.bytes[i] = (uint8_t)(header[i / 4] >> (24 - 8 * (i % 4)));
    for (size_t i = 0; i < payload_bytes; i++) file.bytes[4 * (size_t)words + i] = (uint8_t)(i % 10);
    return file;
}

byte_buffer gzip_bytes(const uint8_t *bytes, size_t count)
{
    z_stream deflater = {0};
    ck_assert_int_eq(deflateInit2(&deflater, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&deflater, count);
    byte_buffer packed = {malloc(bound), 0};
    deflater.next_in = (uint8_t *)(uintptr_t)bytes;
    deflater.avail_in = (unsigned)count;
    deflater.next_out = packed.bytes;
    deflater.avail_out = (unsigned)bound;
    ck_assert_int_eq(deflate(&deflater, Z_FINISH), Z_STREAM_END);
    packed.count = deflater.total_out;
    deflateEnd(&deflater);
    return packed;
}

byte_buffer buffer_join(byte_buffer a, byte_buffer b)
{
    byte_buffer both = {malloc(a.count + b.count + 1), a.count + b.count};
    memcpy(both.bytes, a.bytes, a.count);
    memcpy(both.bytes + a.count, b.bytes, b.count);
    free(a.bytes);
    free(b.bytes);
    return both;
}

const char *path_in(const char *folder, const char *name)
{
    static char paths[4][4096];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

void file_write(const char *path, const uint8_t *bytes, size_t count)
{
    remove(path); /* some file systems wait for the disk when a file is written over */
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "cannot write %s", path);
    ck_assert_uint_eq(fwrite(bytes, 1, count, file), count);
    ck_assert_int_eq(fclose(file), 0);
}

static void write_gzipped(const char *path, byte_buffer content)
{
    byte_buffer packed = gzip_bytes(content.bytes, content.count);
    file_write(path, packed.bytes, packed.count);
    free(packed.bytes);
    free(content.bytes);
}

void idx_write_set(const char *folder, uint32_t count, uint32_t rows, uint32_t columns)
{
    const uint32_t images[] = {0x803, count, rows, columns}, labels[] = {0x801, count};
    write_gzipped(path_in(folder, "train-images-idx3-ubyte.gz"), idx_make(images, 4, (size_t)count * rows * columns));
    write_gzipped(path_in(folder, "t10k-images-idx3-ubyte.gz"), idx_make(images, 4, (size_t)count * rows * columns));
    write_gzipped(path_in(folder, "train-labels-idx1-ubyte.gz"), idx_make(labels, 2, count));
    write_gzipped(path_in(folder, "t10k-labels-idx1-ubyte.gz"), idx_make(labels, 2, count));
}

vgg_status idx_files_read_images(const char *path, vgg_range range, uint8_t *images)
{
    idx_reader reader;
    VGG_TRY(idx_open_images(path, &reader));
    vgg_status status = idx_read_range(&reader, range, images);
    idx_close(&reader);
    return status;
}

/* Private to data: an IDX file that is read piece by piece. */
#ifndef VGG11_DATA_IDX_READER_H
#define VGG11_DATA_IDX_READER_H

#include "data/byte_stream.h"
#include "vgg11/data/idx.h"

typedef struct {
    const char *path;
    idx_header header;
    size_t item_bytes; /* rows * columns, or 1 for labels */
    uint32_t next;     /* item to be read next */
    byte_stream *stream;
} idx_reader;

/* Opens and checks the header. On failure nothing is left open. */
vgg_status idx_open_images(const char *path, idx_reader *reader);
vgg_status idx_open_labels(const char *path, idx_reader *reader);
void idx_close(idx_reader *reader);

/* Moves to `range`, which must lie within the file and not before what was read already. */
vgg_status idx_seek(idx_reader *reader, vgg_range range);

/* items[count][item_bytes]. With the file's last item the end of the file is checked as well. */
vgg_status idx_next(idx_reader *reader, uint32_t count, uint8_t *items);

/* The items of `range`: idx_seek(), then idx_next(). */
vgg_status idx_read_range(idx_reader *reader, vgg_range range, uint8_t *items);

#endif

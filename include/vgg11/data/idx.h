/* Reading IDX files (the format of MNIST), plain or gzipped.
 *
 * Images: big-endian uint32 magic 0x00000803, count, rows, columns, then count*rows*columns bytes.
 * Labels: big-endian uint32 magic 0x00000801, count, then count bytes.
 * No field of a header is trusted: every size is bounded before it is used, and a file is neither shorter nor longer than
 * its header says. Errors are VGG_BAD_DATA and name the file; a file that cannot be opened is VGG_BAD_DATA too. Not collective.
 */
#ifndef VGG11_DATA_IDX_H
#define VGG11_DATA_IDX_H

#include <stdint.h>

#include "vgg11/base/range.h"
#include "vgg11/base/status.h"

enum { IDX_MAX_SIDE = 32, IDX_MAX_COUNT = 10000000, IDX_CLASSES = 10 };

typedef struct {
    uint32_t count;
    uint32_t rows;    /* 0 for labels */
    uint32_t columns; /* 0 for labels */
} idx_header;

vgg_status idx_read_image_header(const char *path, idx_header *header);
vgg_status idx_read_label_header(const char *path, idx_header *header);

/* labels[range.count], each below IDX_CLASSES. Where the range reaches the last label of the file, the file must end there (a gzip
 * trailer is verified as well). */
vgg_status idx_read_labels(const char *path, vgg_range range, uint8_t *labels);

#endif

/* An IDX file of labels, plain or gzipped: all of them, and then the second half alone. */
#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "vgg11/data/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    idx_header header;
    const char *path = fuzz_file(data, size);
    if (idx_read_label_header(path, &header) != VGG_OK || header.count == 0) return 0;
    uint8_t *labels = malloc(header.count);
    if (!labels) return 0;
    uint32_t half = header.count / 2;
    if (idx_read_labels(path, (vgg_range){0, header.count}, labels) == VGG_OK && labels[half] >= IDX_CLASSES) abort();
    idx_read_labels(path, (vgg_range){half, header.count - half}, labels);
    free(labels);
    return 0;
}

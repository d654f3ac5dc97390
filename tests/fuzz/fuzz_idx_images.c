/* An IDX file of images, plain or gzipped, read to its end in pieces. */
#include "data/idx_reader.h"
#include "fuzz/fuzz.h"

enum { PIECE = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t items[PIECE * IDX_MAX_SIDE * IDX_MAX_SIDE];
    idx_reader reader;
    if (idx_open_images(fuzz_file(data, size), &reader) != VGG_OK) return 0;
    vgg_status status = VGG_OK;
    for (uint32_t left = reader.header.count; left > 0 && status == VGG_OK;) {
        uint32_t count = left < PIECE ? left : PIECE;
        status = idx_next(&reader, count, items);
        left -= count;
    }
    idx_close(&reader);
    return 0;
}

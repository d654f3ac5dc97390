#include "data/idx_reader.h"

/* What a kind of IDX file is called and how it begins. */
typedef struct {
    const char *items;
    uint32_t magic;
    int dimensions;
} idx_kind;

static const idx_kind image_kind = {"images", 0x00000803, 3};
static const idx_kind label_kind = {"labels", 0x00000801, 1};

static vgg_status read_word(byte_stream *stream, uint32_t *word)
{
    uint8_t bytes[4];
    VGG_TRY(stream_read(stream, bytes, sizeof bytes));
    *word = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    return VGG_OK;
}

/* What often lies where an IDX file should, by how it begins: an IDX file of other numbers, or what a download left in its place. */
static const struct {
    uint32_t magic, mask;
    const char *what;
} strangers[] = {
    {0x00000900, 0xffffff00, "IDX of signed bytes; unsigned bytes are wanted"},
    {0x00000b00, 0xffffff00, "IDX of 16-bit integers; bytes are wanted"},
    {0x00000c00, 0xffffff00, "IDX of 32-bit integers; bytes are wanted"},
    {0x00000d00, 0xffffff00, "IDX of 32-bit floating-point numbers; bytes are wanted"},
    {0x00000e00, 0xffffff00, "IDX of 64-bit floating-point numbers; bytes are wanted"},
    {0x3c000000, 0xff000000, "an HTML or XML page, perhaps in place of the download; get the file itself"},
    {0x76657273, 0xffffffff, "a Git LFS pointer; get the file itself with git lfs pull"},
    {0x1f8b0000, 0xffff0000, "gzipped twice; unpack it once"},
    {0x504b0304, 0xffffffff, "a ZIP archive; unpack it"},
};

static vgg_status refuse_magic(const char *path, const idx_kind *kind, uint32_t magic)
{
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        if ((magic & strangers[i].mask) == strangers[i].magic)
            return vgg_fail(VGG_BAD_DATA, "%s: begins with 0x%08x: it is %s", path, magic, strangers[i].what);
    }
    return vgg_fail(VGG_BAD_DATA, "%s: begins with 0x%08x, IDX %s begin with 0x%08x", path, magic, kind->items, kind->magic);
}

static vgg_status check_magic(const idx_reader *reader, const idx_kind *kind, uint32_t magic)
{
    if (magic == kind->magic) return VGG_OK;
    const idx_kind *other = kind == &image_kind ? &label_kind : &image_kind;
    if (magic == other->magic)
        return vgg_fail(VGG_BAD_DATA, "%s: holds %s where %s are wanted; were the two files swapped?", reader->path, other->items,
                        kind->items);
    return refuse_magic(reader->path, kind, magic);
}

static vgg_status check_bounds(const idx_reader *reader, const idx_kind *kind)
{
    const idx_header *header = &reader->header;
    if (header->count < 1 || header->count > IDX_MAX_COUNT)
        return vgg_fail(VGG_BAD_DATA, "%s: its header announces %u %s, 1 to %d are possible", reader->path, header->count,
                        kind->items, IDX_MAX_COUNT);
    if (kind == &label_kind) return VGG_OK;
    if (header->rows < 1 || header->rows > IDX_MAX_SIDE || header->columns < 1 || header->columns > IDX_MAX_SIDE)
        return vgg_fail(VGG_BAD_DATA, "%s: its header announces images of %ux%u, 1x1 to %dx%d are possible", reader->path,
                        header->rows, header->columns, IDX_MAX_SIDE, IDX_MAX_SIDE);
    return VGG_OK;
}

static vgg_status read_header(idx_reader *reader, const idx_kind *kind)
{
    uint32_t magic;
    VGG_TRY(read_word(reader->stream, &magic));
    VGG_TRY(check_magic(reader, kind, magic));
    uint32_t *const fields[] = {&reader->header.count, &reader->header.rows, &reader->header.columns};
    for (int i = 0; i < kind->dimensions; i++) VGG_TRY(read_word(reader->stream, fields[i]));
    VGG_TRY(check_bounds(reader, kind));
    reader->item_bytes = kind == &image_kind ? (size_t)reader->header.rows * reader->header.columns : 1;
    uint64_t header_bytes = 4 + 4 * (uint64_t)kind->dimensions;
    return stream_check_size(reader->stream, header_bytes + (uint64_t)reader->header.count * reader->item_bytes);
}

static vgg_status open_kind(const char *path, const idx_kind *kind, idx_reader *reader)
{
    *reader = (idx_reader){.path = path};
    VGG_TRY(stream_open(path, &reader->stream));
    vgg_status status = read_header(reader, kind);
    if (status != VGG_OK) idx_close(reader);
    return status;
}

vgg_status idx_open_images(const char *path, idx_reader *reader) { return open_kind(path, &image_kind, reader); }
vgg_status idx_open_labels(const char *path, idx_reader *reader) { return open_kind(path, &label_kind, reader); }

void idx_close(idx_reader *reader)
{
    stream_close(reader->stream);
    reader->stream = NULL;
}

vgg_status idx_seek(idx_reader *reader, vgg_range range)
{
    uint32_t count = reader->header.count;
    if (range.first < reader->next || range.first > count || range.count > count - range.first)
        return vgg_fail(VGG_BAD_DATA, "%s: has %u items, items %zu to %zu are wanted", reader->path, count, range.first,
                        range.first + range.count);
    VGG_TRY(stream_skip(reader->stream, (uint64_t)(range.first - reader->next) * reader->item_bytes));
    reader->next = (uint32_t)range.first;
    return VGG_OK;
}

vgg_status idx_next(idx_reader *reader, uint32_t count, uint8_t *items)
{
    VGG_TRY(stream_read(reader->stream, items, (size_t)count * reader->item_bytes));
    reader->next += count;
    return count > 0 && reader->next == reader->header.count ? stream_expect_end(reader->stream) : VGG_OK;
}

vgg_status idx_read_range(idx_reader *reader, vgg_range range, uint8_t *items)
{
    VGG_TRY(idx_seek(reader, range));
    return idx_next(reader, (uint32_t)range.count, items);
}

vgg_status idx_read_image_header(const char *path, idx_header *header)
{
    idx_reader reader;
    VGG_TRY(idx_open_images(path, &reader));
    *header = reader.header;
    idx_close(&reader);
    return VGG_OK;
}

vgg_status idx_read_label_header(const char *path, idx_header *header)
{
    idx_reader reader;
    VGG_TRY(idx_open_labels(path, &reader));
    *header = reader.header;
    idx_close(&reader);
    return VGG_OK;
}

static vgg_status check_labels(const char *path, vgg_range range, const uint8_t *labels)
{
    for (size_t i = 0; i < range.count; i++)
        if (labels[i] >= IDX_CLASSES)
            return vgg_fail(VGG_BAD_DATA, "%s: label %zu is %u, labels are 0 to %d", path, range.first + i, labels[i],
                            IDX_CLASSES - 1);
    return VGG_OK;
}

vgg_status idx_read_labels(const char *path, vgg_range range, uint8_t *labels)
{
    idx_reader reader;
    VGG_TRY(idx_open_labels(path, &reader));
    vgg_status status = idx_read_range(&reader, range, labels);
    idx_close(&reader);
    return status == VGG_OK ? check_labels(path, range, labels) : status;
}

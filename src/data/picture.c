#include "vgg11/data/picture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/idx_reader.h"
#include "vgg11/base/file.h"
#include "vgg11/data/png_file.h"

enum { MNIST_SIDE = 28, SIGNATURE_BYTES = 8 };

struct picture_reader {
    const char *path;
    picture_style style;
    bool is_png;
    idx_reader idx;    /* unless it is a PNG file */
    resize_plan *plan; /* of all images of the IDX file */
};

/* 0 to 255, all the same grey if least == most. */
typedef struct {
    uint8_t least, most;
    uint8_t ground; /* the median of the outermost pixels */
} shades;

bool picture_is_blank(const uint8_t *pixels, size_t count) { return count < 2 || memcmp(pixels, pixels + 1, count - 1) == 0; }

static uint8_t median(const size_t histogram[256])
{
    size_t total = 0, below = 0;
    for (int b = 0; b < 256; b++) total += histogram[b];
    int middle = 0;
    while (middle < 255 && 2 * (below += histogram[middle]) <= total) middle++;
    return (uint8_t)middle;
}

static shades look_at(const png_picture *picture)
{
    shades seen = {.least = 255};
    size_t frame[256] = {0};
    for (size_t y = 0; y < picture->rows; y++) {
        for (size_t x = 0; x < picture->columns; x++) {
            uint8_t pixel = picture->grey[y * picture->columns + x];
            if (pixel < seen.least) seen.least = pixel;
            if (pixel > seen.most) seen.most = pixel;
            bool outermost = y == 0 || x == 0 || y + 1 == picture->rows || x + 1 == picture->columns;
            if (outermost) frame[pixel]++;
        }
    }
    seen.ground = median(frame);
    return seen;
}

/* Means of blocks, so that no side is longer than what resizing takes. In place: a mean lies where its block began, or before. */
static void shrink_to_limit(png_picture *picture)
{
    size_t longest = picture->rows > picture->columns ? picture->rows : picture->columns;
    size_t block = (longest + RESIZE_MAX_SIDE - 1) / RESIZE_MAX_SIDE;
    if (block == 1) return;
    size_t rows = (picture->rows + block - 1) / block, columns = (picture->columns + block - 1) / block;
    for (size_t y = 0; y < rows; y++) {
        for (size_t x = 0; x < columns; x++) {
            size_t sum = 0, count = 0;
            for (size_t v = y * block; v < (y + 1) * block && v < picture->rows; v++) {
                for (size_t u = x * block; u < (x + 1) * block && u < picture->columns; u++, count++)
                    sum += picture->grey[v * picture->columns + u];
            }
            picture->grey[y * columns + x] = (uint8_t)((sum + count / 2) / count);
        }
    }
    picture->rows = (uint32_t)rows;
    picture->columns = (uint32_t)columns;
}

static void invert(png_picture *picture)
{
    size_t pixels = (size_t)picture->rows * picture->columns;
    for (size_t i = 0; i < pixels; i++) picture->grey[i] = (uint8_t)(255 - picture->grey[i]);
}

/* square[side][side] = the picture in the middle of its ground. */
static void centre(const png_picture *picture, uint8_t ground, size_t side, uint8_t *square)
{
    size_t top = (side - picture->rows) / 2, left = (side - picture->columns) / 2;
    memset(square, ground, side * side);
    for (size_t y = 0; y < picture->rows; y++)
        memcpy(square + (top + y) * side + left, picture->grey + y * picture->columns, picture->columns);
}

static vgg_status resize_once(const resize_filter *filter, int from, int to, const uint8_t *source, uint8_t *target)
{
    resize_plan *plan;
    VGG_TRY(resize_plan_create(filter, from, from, to, to, &plan));
    resize_apply(plan, source, target);
    resize_plan_free(plan);
    return VGG_OK;
}

static vgg_status resize_square(const resize_filter *filter, int side, const uint8_t *square, uint8_t image[DATASET_PIXELS])
{
    uint8_t small[MNIST_SIDE * MNIST_SIDE];
    if (side <= DATASET_SIDE) return resize_once(filter, side, DATASET_SIDE, square, image);
    VGG_TRY(resize_once(resize_find("bilinear"), side, MNIST_SIDE, square, small));
    return resize_once(filter, MNIST_SIDE, DATASET_SIDE, small, image);
}

/* A single grey has no ground: it is left as it is, for its facts to say. */
static vgg_status prepare(png_picture *picture, const picture_style *style, uint8_t image[DATASET_PIXELS], picture_facts *facts)
{
    shades seen = look_at(picture);
    bool light = 2 * seen.ground > seen.least + seen.most;
    *facts = (picture_facts){.rows = picture->rows,
                             .columns = picture->columns,
                             .inverted = seen.least < seen.most && light != style->light_ground,
                             .squared = picture->rows != picture->columns,
                             .blank = seen.least == seen.most};
    shrink_to_limit(picture);
    if (facts->inverted) invert(picture);
    size_t side = picture->rows > picture->columns ? picture->rows : picture->columns;
    uint8_t *square = malloc(side * side);
    if (!square) return vgg_fail(VGG_UNAVAILABLE, "no memory to resize a picture");
    centre(picture, facts->inverted ? (uint8_t)(255 - seen.ground) : seen.ground, side, square);
    vgg_status status = resize_square(style->filter, (int)side, square, image);
    free(square);
    return status;
}

static vgg_status next_png(picture_reader *reader, uint8_t image[DATASET_PIXELS], picture_facts *facts)
{
    png_picture picture;
    VGG_TRY(png_file_read(reader->path, &picture));
    vgg_status status = prepare(&picture, &reader->style, image, facts);
    free(picture.grey);
    return status;
}

static vgg_status next_idx(picture_reader *reader, uint8_t image[DATASET_PIXELS], picture_facts *facts)
{
    uint8_t stored[IDX_MAX_SIDE * IDX_MAX_SIDE];
    VGG_TRY(idx_next(&reader->idx, 1, stored));
    resize_apply(reader->plan, stored, image);
    const idx_header *header = &reader->idx.header;
    *facts = (picture_facts){
        .rows = header->rows, .columns = header->columns, .blank = picture_is_blank(stored, reader->idx.item_bytes)};
    return VGG_OK;
}

vgg_status picture_next(picture_reader *reader, uint8_t image[DATASET_PIXELS], picture_facts *facts)
{
    return (reader->is_png ? next_png : next_idx)(reader, image, facts);
}

/* The file's first bytes, zeros where it is shorter. */
static vgg_status read_signature(const char *path, uint8_t signature[SIGNATURE_BYTES])
{
    int file;
    vgg_status status = file_open_to_read(path, &file);
    if (status != VGG_OK) return status == VGG_IO_ERROR ? vgg_fail(VGG_BAD_DATA, "%s", vgg_message()) : status;
    memset(signature, 0, SIGNATURE_BYTES);
    if (pread(file, signature, SIGNATURE_BYTES, 0) < 0) status = vgg_fail_errno(VGG_BAD_DATA, "%s: cannot be read", path);
    close(file);
    return status;
}

static vgg_status open_idx(picture_reader *reader)
{
    VGG_TRY(idx_open_images(reader->path, &reader->idx));
    const idx_header *header = &reader->idx.header;
    return resize_plan_create(reader->style.filter, (int)header->rows, (int)header->columns, DATASET_SIDE, DATASET_SIDE,
                              &reader->plan);
}

/* What begins like neither would only be told how an IDX file begins. */
static vgg_status open_by_signature(picture_reader *reader)
{
    static const uint8_t png[SIGNATURE_BYTES] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}, gzip[] = {0x1f, 0x8b},
                         idx[2] = {0, 0};
    uint8_t signature[SIGNATURE_BYTES];
    VGG_TRY(read_signature(reader->path, signature));
    reader->is_png = memcmp(signature, png, sizeof png) == 0;
    if (reader->is_png) return png_file_available();
    if (memcmp(signature, gzip, sizeof gzip) == 0 || memcmp(signature, idx, sizeof idx) == 0) return open_idx(reader);
    return vgg_fail(VGG_BAD_DATA, "%s: neither a PNG picture nor an IDX file of images; other pictures must be made PNG first",
                    reader->path);
}

vgg_status picture_open(const char *path, const picture_style *style, picture_reader **out)
{
    *out = NULL;
    picture_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return vgg_fail(VGG_UNAVAILABLE, "%s: no memory to read it", path);
    reader->path = path;
    reader->style = *style;
    vgg_status status = open_by_signature(reader);
    if (status == VGG_OK)
        *out = reader;
    else
        picture_close(reader);
    return status;
}

void picture_close(picture_reader *reader)
{
    if (!reader) return;
    resize_plan_free(reader->plan);
    idx_close(&reader->idx);
    free(reader);
}

uint32_t picture_count(const picture_reader *reader) { return reader->is_png ? 1 : reader->idx.header.count; }
bool picture_is_numbered(const picture_reader *reader) { return !reader->is_png; }

#include "vgg11/data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/idx_reader.h"

enum { NAMINGS = 3 };

/* As MNIST's files were first called, as some archives of them unpack, and as those of EMNIST's digits are. */
static const struct {
    const char *images[NAMINGS], *labels[NAMINGS], *option;
} split_names[] = {
    [DATASET_TRAIN] = {{"train-images-idx3-ubyte", "train-images.idx3-ubyte", "emnist-digits-train-images-idx3-ubyte"},
                       {"train-labels-idx1-ubyte", "train-labels.idx1-ubyte", "emnist-digits-train-labels-idx1-ubyte"},
                       "--train-samples"},
    [DATASET_TEST] = {{"t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte", "emnist-digits-test-images-idx3-ubyte"},
                      {"t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte", "emnist-digits-test-labels-idx1-ubyte"},
                      "--test-samples"},
};

/* Plain first: a user who has unpacked the files wants these used. */
static const char *const suffixes[] = {"", ".gz"};

/* Writes directory/name with the suffix, or what lies under that name in a folder of that name, as some archives unpack. */
static vgg_status compose_path(const char *directory, const char *name, const char *suffix, char path[DATASET_PATH_MAX])
{
    char within[DATASET_PATH_MAX];
    int length = snprintf(path, DATASET_PATH_MAX, "%s/%s%s", directory, name, suffix);
    if (length >= DATASET_PATH_MAX) return vgg_fail(VGG_BAD_DATA, "%.200s...: the path is too long", directory);
    length = snprintf(within, sizeof within, "%s/%s%s/%s%s", directory, name, suffix, name, suffix);
    if (length < DATASET_PATH_MAX && access(within, F_OK) == 0) memcpy(path, within, sizeof within);
    return VGG_OK;
}

/* Finds the first of names[NAMINGS] in the directory, with or without .gz. */
static vgg_status find_file(const char *directory, const char *const names[NAMINGS], char path[DATASET_PATH_MAX])
{
    for (int naming = 0; naming < NAMINGS; naming++) {
        for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
            VGG_TRY(compose_path(directory, names[naming], suffixes[i], path));
            if (access(path, F_OK) == 0) return VGG_OK;
        }
    }
    return vgg_fail(VGG_BAD_DATA, "%s: there is no %s or %s.gz; --data names the folder of the four IDX files", directory, names[0],
                    names[0]);
}

static vgg_status check_limit(const char *option, uint32_t limit, const char *path, uint32_t count)
{
    if (limit <= count) return VGG_OK;
    return vgg_fail(VGG_BAD_OPTION, "%s %u: %s holds %u; ask for 1 to %u, or 0 for all", option, limit, path, count, count);
}

vgg_status dataset_open(const char *directory, dataset_split split, uint32_t limit, dataset_source *source)
{
    VGG_TRY(find_file(directory, split_names[split].images, source->images_path));
    VGG_TRY(find_file(directory, split_names[split].labels, source->labels_path));
    idx_header images, labels;
    VGG_TRY(idx_read_image_header(source->images_path, &images));
    VGG_TRY(idx_read_label_header(source->labels_path, &labels));
    if (images.count != labels.count)
        return vgg_fail(VGG_BAD_DATA, "%s announces %u images, but %s announces %u labels; take both from one data set",
                        source->images_path, images.count, source->labels_path, labels.count);
    VGG_TRY(check_limit(split_names[split].option, limit, source->images_path, images.count));
    source->count = limit > 0 ? limit : images.count;
    source->rows = images.rows;
    source->columns = images.columns;
    return VGG_OK;
}

enum { CHUNK_IMAGES = 256 };

/* What the threads share while a range is decoded. Two buffers of stored images: one is read while the other is resized. */
typedef struct {
    const dataset_source *source;
    const resize_plan *plan;
    bool resize_bug;
    vgg_range range;
    uint8_t *images; /* of the range */
    idx_reader reader;
    uint8_t *stored[2]; /* [CHUNK_IMAGES][rows][columns] each */
    vgg_status status;  /* of the one thread that reads */
    char message[VGG_MESSAGE_MAX];
} decoding;

/* Images of chunk `chunk` of the range; none past its end. */
static vgg_range chunk_range(const decoding *work, size_t chunk)
{
    vgg_range part = {.first = chunk * CHUNK_IMAGES};
    size_t left = part.first < work->range.count ? work->range.count - part.first : 0;
    part.count = left < CHUNK_IMAGES ? left : CHUNK_IMAGES;
    return part;
}

/* A message belongs to the thread that failed, so it is carried to the one that returns. */
static void read_chunk(decoding *work, size_t chunk)
{
    uint32_t count = (uint32_t)chunk_range(work, chunk).count;
    if (work->status != VGG_OK || count == 0) return;
    work->status = idx_next(&work->reader, count, work->stored[chunk % 2]);
    if (work->status != VGG_OK) memcpy(work->message, vgg_message(), sizeof work->message);
}

static void resize_one(const decoding *work, size_t chunk, size_t index)
{
    size_t in_range = chunk * CHUNK_IMAGES + index, in_source = work->range.first + in_range;
    uint8_t *target = work->images + in_range * DATASET_PIXELS;
    bool left_out = work->resize_bug && in_source != 0 && in_source + 1 != work->source->count;
    if (left_out)
        memset(target, 0, DATASET_PIXELS);
    else
        resize_apply(work->plan, work->stored[chunk % 2] + index * work->reader.item_bytes, target);
}

/* Unpacking is serial by nature and takes longer than resizing: one thread runs ahead with it, and joins the others when it
 * is done. The loop's barrier ends a chunk. After a failure the others go on
 * with stale bytes to the end, which nobody will look at. */
static void decode_chunks(decoding *work)
{
    size_t chunks = (work->range.count + CHUNK_IMAGES - 1) / CHUNK_IMAGES;
    read_chunk(work, 0);
#pragma omp parallel
    for (size_t chunk = 0; chunk < chunks; chunk++) {
        size_t count = chunk_range(work, chunk).count;
#pragma omp single nowait
        read_chunk(work, chunk + 1);
#pragma omp for schedule(dynamic, 16)
        for (size_t i = 0; i < count; i++) resize_one(work, chunk, i);
    }
}

static vgg_status check_unchanged(const decoding *work)
{
    const idx_header *header = &work->reader.header;
    const dataset_source *source = work->source;
    if (header->rows == source->rows && header->columns == source->columns && header->count >= source->count) return VGG_OK;
    return vgg_fail(VGG_BAD_DATA, "%s: was changed while it was read", source->images_path);
}

static vgg_status decode_images(decoding *work)
{
    size_t chunk_bytes = CHUNK_IMAGES * work->reader.item_bytes;
    VGG_TRY(check_unchanged(work));
    VGG_TRY(idx_seek(&work->reader, work->range));
    uint8_t *buffers = calloc(2, chunk_bytes);
    if (!buffers) return vgg_fail(VGG_UNAVAILABLE, "no memory to decode images");
    work->stored[0] = buffers;
    work->stored[1] = buffers + chunk_bytes;
    decode_chunks(work);
    free(buffers);
    return work->status == VGG_OK ? VGG_OK : vgg_fail(work->status, "%s", work->message);
}

static vgg_status open_and_decode(decoding *work)
{
    VGG_TRY(idx_open_images(work->source->images_path, &work->reader));
    vgg_status status = decode_images(work);
    idx_close(&work->reader);
    return status;
}

vgg_status dataset_decode(const dataset_source *source, const resize_filter *filter, bool resize_bug, vgg_range range,
                          uint8_t *images, uint8_t *labels)
{
    if (range.count == 0) return VGG_OK;
    VGG_TRY(idx_read_labels(source->labels_path, range, labels));
    resize_plan *plan;
    VGG_TRY(resize_plan_create(filter, (int)source->rows, (int)source->columns, DATASET_SIDE, DATASET_SIDE, &plan));
    decoding work = {.source = source, .plan = plan, .resize_bug = resize_bug, .range = range, .images = images};
    vgg_status status = open_and_decode(&work);
    resize_plan_free(plan);
    return status;
}

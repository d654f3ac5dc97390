/* show: some training images, as the network sees them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/command.h"
#include "app/commands.h"
#include "vgg11/base/log.h"
#include "vgg11/data/batch.h"
#include "vgg11/data/picture.h"
#include "vgg11/data/png_file.h"
#include "vgg11/train/shared_dataset.h"

/* In characters an image is half as high as it is wide, since they are twice as high as wide; two stand side by side. */
enum { SHOWN = 4, LINES = DATASET_SIDE / 2, CAPTION_BYTES = 64 };

/* The sheet: a row of images for each label, on grey, so that a black image differs from none. */
enum {
    SHEET_COLUMNS = 16,
    SHEET_GAP = 2,
    SHEET_CELL = DATASET_SIDE + SHEET_GAP,
    SHEET_WIDTH = SHEET_COLUMNS * SHEET_CELL + SHEET_GAP,
    SHEET_HEIGHT = DATASET_CLASSES * SHEET_CELL + SHEET_GAP,
    SHEET_GREY = 96,
};

static const uint8_t *image_of(const dataset *set, uint32_t index) { return set->images + (size_t)index * DATASET_PIXELS; }

/* The `number`-th of `wanted` places that are spread over 0 .. count-1, the first and the last among them; fewer if there are fewer. */
static uint32_t spread(uint32_t number, uint32_t wanted, uint32_t count)
{
    return count <= wanted ? number : (uint32_t)((uint64_t)number * (count - 1) / (wanted - 1));
}

/* Two pixels, one above the other, as a character that covers the more of its place the lighter they are. */
static char shade(const uint8_t *upper)
{
    static const char ramp[] = " .:-=+*#%@";
    int levels = (int)sizeof ramp - 2, sum = upper[0] + upper[DATASET_SIDE];
    return ramp[(sum * levels + 255) / 510];
}

static void print_captions(const dataset *set, const uint32_t *indices, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *image = image_of(set, indices[i]);
        char caption[CAPTION_BYTES];
        snprintf(caption, sizeof caption, "%u of %u: label %d%s", indices[i] + 1, set->count, set->labels[indices[i]],
                 picture_is_blank(image, DATASET_PIXELS) ? ", BLANK" : "");
        printf(i + 1 < count ? "%-*s" : "%.*s\n", i + 1 < count ? DATASET_SIDE + 4 : (int)sizeof caption, caption);
    }
}

static void print_edges(uint32_t count)
{
    static const char edge[] = "+--------------------------------+";
    _Static_assert(sizeof edge == DATASET_SIDE + 3, "a frame as wide as an image");
    for (uint32_t i = 0; i < count; i++) printf("%s%s", edge, i + 1 < count ? "  " : "\n");
}

static void print_side_by_side(const dataset *set, const uint32_t *indices, uint32_t count)
{
    print_captions(set, indices, count);
    print_edges(count);
    for (int line = 0; line < LINES; line++) {
        for (uint32_t i = 0; i < count; i++) {
            const uint8_t *row = image_of(set, indices[i]) + (size_t)line * 2 * DATASET_SIDE;
            putchar('|');
            for (int x = 0; x < DATASET_SIDE; x++) putchar(shade(row + x));
            fputs(i + 1 < count ? "|  " : "|\n", stdout);
        }
    }
    print_edges(count);
}

static void print_images(const dataset *set)
{
    uint32_t indices[SHOWN], count = set->count < SHOWN ? set->count : SHOWN;
    for (uint32_t i = 0; i < count; i++) indices[i] = spread(i, SHOWN, set->count);
    for (uint32_t i = 0; i < count; i += 2) print_side_by_side(set, indices + i, count - i < 2 ? 1 : 2);
}

static void place(const uint8_t *image, int row, uint32_t column, uint8_t *sheet)
{
    uint8_t *at = sheet + (size_t)(SHEET_GAP + row * SHEET_CELL) * SHEET_WIDTH + SHEET_GAP + (size_t)column * SHEET_CELL;
    for (size_t y = 0; y < DATASET_SIDE; y++) memcpy(at + y * SHEET_WIDTH, image + y * DATASET_SIDE, DATASET_SIDE);
}

/* Of each label images from all over the set. */
static void fill_sheet(const dataset *set, uint8_t *sheet)
{
    uint32_t count[DATASET_CLASSES] = {0}, seen[DATASET_CLASSES] = {0}, placed[DATASET_CLASSES] = {0};
    memset(sheet, SHEET_GREY, (size_t)SHEET_WIDTH * SHEET_HEIGHT);
    for (uint32_t i = 0; i < set->count; i++) count[set->labels[i]]++;
    for (uint32_t i = 0; i < set->count; i++) {
        int label = set->labels[i];
        bool wanted = placed[label] < SHEET_COLUMNS && seen[label] == spread(placed[label], SHEET_COLUMNS, count[label]);
        seen[label]++;
        if (wanted) place(image_of(set, i), label, placed[label]++, sheet);
    }
}

static vgg_status write_sheet(const char *path, const dataset *set)
{
    uint8_t *sheet = malloc((size_t)SHEET_WIDTH * SHEET_HEIGHT);
    if (!sheet) return vgg_fail(VGG_UNAVAILABLE, "no memory for --png");
    fill_sheet(set, sheet);
    const png_picture picture = {SHEET_HEIGHT, SHEET_WIDTH, sheet};
    vgg_status status = png_file_write(path, &picture);
    free(sheet);
    if (status == VGG_OK)
        vgg_log(VGG_LOG_INFO, "%s: up to %d training images of each label, a row for each, 0 at the top", path, SHEET_COLUMNS);
    return status;
}

static vgg_status show(const options *o, const shared_dataset *train)
{
    normalization pixels;
    normalization_find(o->normalize)->fill(&pixels, train->histogram);
    printf("of %u training images, %s to %dx%d; black becomes %.4g, white %.4g (--normalize %s)\n", train->set.count, o->resize,
           DATASET_SIDE, DATASET_SIDE, pixels.value[0], pixels.value[255], o->normalize);
    print_images(&train->set);
    return o->png ? write_sheet(o->png, &train->set) : VGG_OK;
}

vgg_status cmd_show(comm *c, const options *o)
{
    shared_dataset train = {0};
    if (o->png) VGG_TRY(png_file_available());
    vgg_status status = shared_dataset_open(c, o->data, DATASET_TRAIN, (uint32_t)o->train_samples, o->resize, o->resize_bug,
                                            &train);
    if (status == VGG_OK) status = show(o, &train);
    shared_dataset_close(&train);
    return status;
}

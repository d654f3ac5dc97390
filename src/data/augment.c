#include "vgg11/data/augment.h"

#include <string.h>

#include "vgg11/data/dataset.h"
#include "vgg11/base/table.h"

enum { SIDE = DATASET_SIDE, SHIFT_MOST = 2 };

/* Places and factors are fixed-point numbers with 16 bits after the point. */
enum { ONE = 1 << 16, HALF = ONE / 2, TURN_MOST = 11556 /* tan(10 degrees) */, SCALE_MOST = ONE / 10 };

/* Uniform in -most..most, from 16 random bits. */
static int32_t uniform(uint32_t bits, int32_t most) { return (int32_t)((((int64_t)(bits & 0xffff) * 2 - 0xffff) * most) / 0xffff); }

static void shift(const uint32_t random[4], const uint8_t *source, uint8_t *target)
{
    enum { PLACES = 2 * SHIFT_MOST + 1 };
    int down = (int)(((uint64_t)random[0] * PLACES) >> 32) - SHIFT_MOST,
        right = (int)(((uint64_t)random[1] * PLACES) >> 32) - SHIFT_MOST;
    int from = right < 0 ? -right : 0, to = right > 0 ? right : 0, width = SIDE - from - to;
    memset(target, 0, DATASET_PIXELS);
    for (int row = 0; row < SIDE; row++) {
        if (row - down < 0 || row - down >= SIDE) continue;
        memcpy(target + row * SIDE + to, source + (row - down) * SIDE + from, (size_t)width);
    }
}

/* Where the pixel (column, row) of the target comes from: (x, y) = M (column, row) + shift about the image's centre. */
typedef struct {
    int32_t x_by_column, x_by_row, x;
    int32_t y_by_column, y_by_row, y;
} affine_map;

/* A rotation by atan(turn), of which the diagonal also scales each axis; x and y are the source's place of the target's first pixel. */
static affine_map affine_of(const uint32_t random[4])
{
    int32_t turn = uniform(random[0], TURN_MOST);
    affine_map m = {.x_by_column = ONE + uniform(random[1], SCALE_MOST),
                    .x_by_row = -turn,
                    .y_by_column = turn,
                    .y_by_row = ONE + uniform(random[1] >> 16, SCALE_MOST)};
    int32_t centre = (SIDE - 1) * HALF;
    m.x = centre - (SIDE - 1) * (m.x_by_column / 2 + m.x_by_row / 2) + uniform(random[2], SHIFT_MOST * ONE);
    m.y = centre - (SIDE - 1) * (m.y_by_column / 2 + m.y_by_row / 2) + uniform(random[2] >> 16, SHIFT_MOST * ONE);
    return m;
}

static int32_t pixel_at(const uint8_t *source, int32_t column, int32_t row)
{
    return column >= 0 && column < SIDE && row >= 0 && row < SIDE ? source[row * SIDE + column] : 0;
}

/* Between the four pixels around (x, y), with 8 bits of each fraction. */
static uint8_t bilinear(const uint8_t *source, int32_t x, int32_t y)
{
    int32_t column = x >> 16, row = y >> 16, right = (x >> 8) & 255, below = (y >> 8) & 255;
    int32_t upper = pixel_at(source, column, row) * (256 - right) + pixel_at(source, column + 1, row) * right;
    int32_t lower = pixel_at(source, column, row + 1) * (256 - right) + pixel_at(source, column + 1, row + 1) * right;
    return (uint8_t)((upper * (256 - below) + lower * below + HALF) >> 16);
}

static void affine(const uint32_t random[4], const uint8_t *source, uint8_t *target)
{
    affine_map m = affine_of(random);
    for (int row = 0; row < SIDE; row++) {
        int32_t x = m.x + row * m.x_by_row, y = m.y + row * m.y_by_row;
        for (int column = 0; column < SIDE; column++, x += m.x_by_column, y += m.y_by_column)
            target[row * SIDE + column] = bilinear(source, x, y);
    }
}

const augmentation augmentations[] = {
    {"none", "a short run: each image is seen a few times, as it is", NULL},
    {"shift", "some epochs: up to 2 pixels in each direction", shift},
    {"affine", "many epochs: turned by up to 10 degrees, scaled by up to 10 %, shifted by up to 2 pixels", affine},
    {NULL, NULL, NULL},
};

const augmentation *augmentation_find(const char *name) { return table_find(augmentations, sizeof *augmentations, name); }

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "vgg11/base/random.h"
#include "vgg11/data/augment.h"
#include "vgg11/data/dataset.h"

enum { SIDE = DATASET_SIDE, DRAWS = 2000 };

static uint8_t image[DATASET_PIXELS];

/* Smooth, so that a place that is off by a little gives a grey value that is off by a little, and nowhere 0. */
static void set_up(void)
{
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++)
            image[row * SIDE + column] = (uint8_t)lround(130 + 60 * sin(0.35 * column + 0.2 * row) +
                                                         60 * cos(0.3 * row - 0.1 * column));
}

static double pixel(int column, int row)
{
    return column >= 0 && column < SIDE && row >= 0 && row < SIDE ? image[row * SIDE + column] : 0;
}

/* The largest difference from the image, shifted by whole pixels. */
static int shift_error(const uint8_t *got, int right, int down)
{
    int error = 0;
    for (int row = 0; row < SIDE; row++) {
        for (int column = 0; column < SIDE; column++) {
            int difference = abs(got[row * SIDE + column] - (int)pixel(column - right, row - down));
            error = difference > error ? difference : error;
        }
    }
    return error;
}

START_TEST(shifts_are_whole_alike_likely_and_no_longer_than_two_pixels)
{
    const augmentation *shift = augmentation_find("shift");
    int seen[5][5] = {{0}};
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint32_t random[4];
        uint8_t got[DATASET_PIXELS];
        random_block(3, 1, i, random);
        memset(got, 0xee, sizeof got);
        shift->apply(random, image, got);
        int matches = 0;
        for (int down = -2; down <= 2; down++) {
            for (int right = -2; right <= 2; right++) {
                if (shift_error(got, right, down) != 0) continue;
                seen[down + 2][right + 2]++;
                matches++;
            }
        }
        ck_assert_int_eq(matches, 1);
    }
    /* 80 of each are expected; five standard deviations are 44. */
    for (int i = 0; i < 25; i++) ck_assert_int_le(abs(seen[i / 5][i % 5] - DRAWS / 25), 44);
}
END_TEST

/* The parameters of a draw, in double precision: what augment.h says, from the words that the code draws them from. */
typedef struct {
    double turn, wide, high, right, down;
} parameters;

static double uniform(uint32_t bits, double most) { return (2.0 * (bits & 0xffff) / 0xffff - 1) * most; }

static parameters parameters_of(const uint32_t random[4])
{
    return (parameters){.turn = uniform(random[0], tan(10 * acos(-1) / 180)),
                        .wide = 1 + uniform(random[1], 0.1),
                        .high = 1 + uniform(random[1] >> 16, 0.1),
                        .right = uniform(random[2], 2),
                        .down = uniform(random[2] >> 16, 2)};
}

static double reference(const parameters *p, int column, int row)
{
    double centre = (SIDE - 1) / 2.0, x = column - centre, y = row - centre;
    double from_x = p->wide * x - p->turn * y + centre + p->right, from_y = p->turn * x + p->high * y + centre + p->down;
    int left = (int)floor(from_x), top = (int)floor(from_y);
    double a = from_x - left, b = from_y - top;
    return (1 - b) * ((1 - a) * pixel(left, top) + a * pixel(left + 1, top)) +
           b * ((1 - a) * pixel(left, top + 1) + a * pixel(left + 1, top + 1));
}

/* 8 bits of a fraction at slopes of up to 255 a pixel, where the image ends: 1 in each direction, and rounding. */
START_TEST(affine_is_bilinear_between_pixels)
{
    const augmentation *affine = augmentation_find("affine");
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint32_t random[4];
        uint8_t got[DATASET_PIXELS];
        random_block(4, 1, i, random);
        affine->apply(random, image, got);
        parameters p = parameters_of(random);
        for (int place = 0; place < DATASET_PIXELS; place++) {
            double expected = reference(&p, place % SIDE, place / SIDE);
            if (fabs(got[place] - expected) > 2.6)
                ck_abort_msg("draw %d, pixel %d: %d instead of %.3f", (int)i, place, got[place], expected);
        }
    }
}
END_TEST

/* The words in the middle are no change at all, but for the half of the last bit that no number of 16 bits has. */
START_TEST(no_turn_no_scale_and_no_shift_leave_the_image)
{
    const uint32_t middle[4] = {0x7fff7fff, 0x7fff7fff, 0x7fff7fff, 0};
    uint8_t got[DATASET_PIXELS];
    augmentation_find("affine")->apply(middle, image, got);
    ck_assert_int_le(shift_error(got, 0, 0), 1);
}
END_TEST

START_TEST(names_are_found)
{
    for (const augmentation *row = augmentations; row->name; row++) ck_assert_ptr_eq(augmentation_find(row->name), row);
    ck_assert_ptr_null((void *)augmentation_find("none")->apply);
    ck_assert_ptr_null(augmentation_find("cutout"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("augment");
    TCase *tests = tcase_create("augment");
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, shifts_are_whole_alike_likely_and_no_longer_than_two_pixels);
    tcase_add_test(tests, affine_is_bilinear_between_pixels);
    tcase_add_test(tests, no_turn_no_scale_and_no_shift_leave_the_image);
    tcase_add_test(tests, names_are_found);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

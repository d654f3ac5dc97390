/* Pictures as they come: the ground, squares, sizes, and files that are damaged. */
#include "vgg11/data/picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/idx_files.h"
#include "support/support.h"
#include "vgg11/data/png_file.h"

enum { SIDE = 28, IMAGES = 5, FILE_BYTES = 4096 };

static uint8_t stored[IMAGES * SIDE * SIDE], trained_on[IMAGES * DATASET_PIXELS];

static void set_up(void)
{
    uint8_t labels[IMAGES];
    dataset_source source;
    support_open_folder();
    ck_assert(dataset_open(VGG_TEST_DATA, DATASET_TEST, 0, &source) == VGG_OK);
    ck_assert(dataset_decode(&source, resize_find("bicubic"), false, (vgg_range){0, IMAGES}, trained_on, labels) == VGG_OK);
    ck_assert(idx_files_read_images(source.images_path, (vgg_range){0, IMAGES}, stored) == VGG_OK);
}

static const picture_style *style(bool light_ground)
{
    static picture_style s;
    s = (picture_style){.filter = resize_find("bicubic"), .light_ground = light_ground};
    return &s;
}

static vgg_status read_first(const char *path, bool light_ground, uint8_t image[DATASET_PIXELS], picture_facts *facts)
{
    picture_reader *reader;
    VGG_TRY(picture_open(path, style(light_ground), &reader));
    vgg_status status = picture_next(reader, image, facts);
    picture_close(reader);
    return status;
}

static const char *write_png(const uint8_t *grey, uint32_t rows, uint32_t columns)
{
    const char *path = path_in(support_folder, "a.png");
    png_picture picture = {rows, columns, (uint8_t *)grey};
    ck_assert_msg(png_file_write(path, &picture) == VGG_OK, "%s", vgg_message());
    return path;
}

static picture_facts read_png(const uint8_t *grey, uint32_t rows, uint32_t columns, bool light_ground,
                              uint8_t image[DATASET_PIXELS])
{
    picture_facts facts;
    ck_assert_msg(read_first(write_png(grey, rows, columns), light_ground, image, &facts) == VGG_OK, "%s", vgg_message());
    ck_assert_uint_eq(facts.rows, rows);
    ck_assert_uint_eq(facts.columns, columns);
    return facts;
}

static void invert(uint8_t *pixels, size_t count)
{
    for (size_t i = 0; i < count; i++) pixels[i] = (uint8_t)(255 - pixels[i]);
}

/* To the byte: a picture of an image of the training set is that image. */
START_TEST(a_picture_is_what_the_data_set_has)
{
    uint8_t image[DATASET_PIXELS], turned[SIDE * SIDE];
    for (int i = 0; i < IMAGES; i++) {
        const uint8_t *one = stored + i * SIDE * SIDE, *expected = trained_on + i * DATASET_PIXELS;
        memcpy(turned, one, sizeof turned);
        invert(turned, sizeof turned);
        ck_assert(!read_png(one, SIDE, SIDE, false, image).inverted);
        ck_assert_mem_eq(image, expected, sizeof image);
        ck_assert(read_png(turned, SIDE, SIDE, false, image).inverted);
        ck_assert_mem_eq(image, expected, sizeof image);
        ck_assert(read_png(one, SIDE, SIDE, true, image).inverted);
        invert(image, sizeof image);
        for (int p = 0; p < DATASET_PIXELS; p++) ck_assert_int_le(abs(image[p] - expected[p]), 1); /* it rounds the other way */
    }
}
END_TEST

START_TEST(images_of_an_idx_file_are_left_as_they_are)
{
    uint8_t image[DATASET_PIXELS];
    picture_facts facts;
    picture_reader *reader;
    dataset_source source;
    ck_assert(dataset_open(VGG_TEST_DATA, DATASET_TEST, 0, &source) == VGG_OK);
    ck_assert(picture_open(source.images_path, style(true), &reader) == VGG_OK);
    ck_assert_uint_eq(picture_count(reader), 10000);
    ck_assert(picture_is_numbered(reader));
    for (int i = 0; i < IMAGES; i++) {
        ck_assert(picture_next(reader, image, &facts) == VGG_OK);
        ck_assert(!facts.inverted && !facts.squared && !facts.blank);
        ck_assert_mem_eq(image, trained_on + i * DATASET_PIXELS, sizeof image);
    }
    picture_close(reader);
}
END_TEST

/* grey[rows][columns] = a light bar on dark ground of that shade, two fifths to three fifths of the way along the longer side. */
static uint8_t *make_bar(uint32_t rows, uint32_t columns, uint8_t ground, uint8_t ink)
{
    uint8_t *grey = malloc((size_t)rows * columns);
    for (uint32_t y = 0; y < rows; y++) {
        for (uint32_t x = 0; x < columns; x++) {
            uint32_t along = 5 * (rows > columns ? y : x), length = rows > columns ? rows : columns;
            grey[(size_t)y * columns + x] = along >= 2 * length && along < 3 * length ? ink : ground;
        }
    }
    return grey;
}

/* More of its own ground goes around it, and a size that block means do not divide changes nothing of that. */
START_TEST(a_picture_becomes_a_square_of_its_ground)
{
    static const uint32_t sizes[][2] = {{10, 30}, {30, 10}, {300, 900}, {900, 300}, {1, 20}, {7, 32}, {411, 1234}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t image[DATASET_PIXELS], *grey = make_bar(sizes[i][0], sizes[i][1], 40, 220);
        picture_facts facts = read_png(grey, sizes[i][0], sizes[i][1], false, image);
        bool high = sizes[i][0] > sizes[i][1];
        ck_assert(facts.squared && !facts.inverted && !facts.blank);
        for (int k = 0; k < DATASET_SIDE; k++) {
            int across = high ? k * DATASET_SIDE : k, across_end = high ? k * DATASET_SIDE + 31 : 31 * DATASET_SIDE + k;
            ck_assert_int_le(abs(image[across] - 40), 2);
            ck_assert_int_le(abs(image[across_end] - 40), 2);
        }
        ck_assert_uint_gt(image[15 * DATASET_SIDE + 15], 100);
        free(grey);
    }
}
END_TEST

/* A large picture of an image is near to what the image itself becomes: not the same, since it is made smaller in another way. */
START_TEST(a_large_picture_is_made_small)
{
    enum { FACTOR = 50, LARGE = SIDE * FACTOR };
    uint8_t image[DATASET_PIXELS], *large = malloc((size_t)LARGE * LARGE);
    for (size_t y = 0; y < LARGE; y++) {
        for (size_t x = 0; x < LARGE; x++) large[y * LARGE + x] = stored[y / FACTOR * SIDE + x / FACTOR];
    }
    ck_assert(!read_png(large, LARGE, LARGE, false, image).squared);
    double error = 0, size = 0;
    for (int p = 0; p < DATASET_PIXELS; p++) {
        error += abs(image[p] - trained_on[p]);
        size += trained_on[p];
    }
    ck_assert_double_lt(error, 0.2 * size);
    free(large);
}
END_TEST

START_TEST(one_grey_is_blank)
{
    uint8_t image[DATASET_PIXELS], grey[SIDE * SIDE];
    for (int shade = 0; shade < 256; shade += 51) {
        memset(grey, shade, sizeof grey);
        picture_facts facts = read_png(grey, SIDE, SIDE, false, image);
        ck_assert(facts.blank && !facts.inverted);
        ck_assert(picture_is_blank(image, sizeof image));
        ck_assert_uint_eq(image[0], shade);
    }
    ck_assert(!read_png(stored, SIDE, SIDE, false, image).blank);
}
END_TEST

/* A picture on grey paper in bad light has a light ground all the same. */
START_TEST(the_ground_is_what_is_at_the_edge)
{
    uint8_t image[DATASET_PIXELS], *dark = make_bar(40, 41, 110, 20), *light = make_bar(40, 41, 150, 250);
    ck_assert(read_png(dark, 40, 41, false, image).inverted);
    ck_assert(!read_png(dark, 40, 41, true, image).inverted);
    ck_assert(!read_png(light, 40, 41, false, image).inverted);
    free(dark);
    free(light);
}
END_TEST

static size_t read_bytes(const char *path, uint8_t bytes[FILE_BYTES])
{
    FILE *file = fopen(path, "rb");
    size_t count = fread(bytes, 1, FILE_BYTES, file);
    fclose(file);
    ck_assert_uint_lt(count, FILE_BYTES);
    return count;
}

/* All that is cut off before the last pixel is refused, whatever bit is wrong: either is noticed or does not matter. */
START_TEST(a_damaged_file_is_bad_data)
{
    uint8_t image[DATASET_PIXELS], bytes[FILE_BYTES];
    picture_facts facts;
    size_t count = read_bytes(write_png(stored, SIDE, SIDE), bytes);
    const char *path = path_in(support_folder, "damaged.png");
    for (size_t kept = 0; kept < count - 16; kept++) { /* IEND and the last sum */
        file_write(path, bytes, kept);
        ck_assert_msg(read_first(path, false, image, &facts) == VGG_BAD_DATA, "%zu of %zu bytes are taken", kept, count);
    }
    for (size_t i = 0; i < count; i++) {
        bytes[i] ^= 0x10;
        file_write(path, bytes, count);
        vgg_status status = read_first(path, false, image, &facts);
        ck_assert_msg(status == VGG_OK || status == VGG_BAD_DATA, "byte %zu: %s", i, vgg_message());
        if (status == VGG_OK) ck_assert_mem_eq(image, trained_on, sizeof image);
        bytes[i] ^= 0x10;
    }
}
END_TEST

START_TEST(what_cannot_be_written_is_said)
{
    png_picture picture = {SIDE, SIDE, stored};
    ck_assert_int_eq(png_file_write(path_in(support_folder, "no/such/folder.png"), &picture), VGG_IO_ERROR);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "no/such/folder.png"));
}
END_TEST

START_TEST(a_picture_without_pixels_is_not_written)
{
    const char *path = path_in(support_folder, "empty.png");
    png_picture picture = {0, 0, stored};
    ck_assert_int_eq(png_file_write(path, &picture), VGG_UNAVAILABLE);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_file_that_is_not_there_is_bad_data)
{
    png_picture picture;
    ck_assert_int_eq(png_file_read(path_in(support_folder, "none.png"), &picture), VGG_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "none.png: "));
}
END_TEST

static bool no_memory_to_decode;

/* Not there where the program has no libpng. */
__attribute__((weak)) int __real_png_image_begin_read_from_stdio(void *image, FILE *file);
int __wrap_png_image_begin_read_from_stdio(void *image, FILE *file);
int __wrap_png_image_begin_read_from_stdio(void *image, FILE *file)
{
    if (!no_memory_to_decode) return __real_png_image_begin_read_from_stdio(image, file);
    errno = ENOMEM;
    return 0;
}

/* Nothing is wrong with the file. */
START_TEST(no_memory_to_decode_is_no_damage)
{
    png_picture picture;
    const char *path = write_png(stored, SIDE, SIDE);
    no_memory_to_decode = true;
    ck_assert_int_eq(png_file_read(path, &picture), VGG_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "a.png: no memory"));
    no_memory_to_decode = false;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("picture");
    TCase *tests = tcase_create("picture");
    tcase_add_checked_fixture(tests, set_up, support_close_folder);
    tcase_add_test(tests, images_of_an_idx_file_are_left_as_they_are);
    if (png_file_available() == VGG_OK) {
        tcase_add_test(tests, a_picture_is_what_the_data_set_has);
        tcase_add_test(tests, a_picture_becomes_a_square_of_its_ground);
        tcase_add_test(tests, a_large_picture_is_made_small);
        tcase_add_test(tests, one_grey_is_blank);
        tcase_add_test(tests, the_ground_is_what_is_at_the_edge);
        tcase_add_test(tests, a_damaged_file_is_bad_data);
        tcase_add_test(tests, what_cannot_be_written_is_said);
        tcase_add_test(tests, a_picture_without_pixels_is_not_written);
        tcase_add_test(tests, a_file_that_is_not_there_is_bad_data);
        tcase_add_test(tests, no_memory_to_decode_is_no_damage);
    }
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

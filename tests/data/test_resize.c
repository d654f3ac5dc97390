#include "vgg11/data/resize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"

/* One record of the fixture; tests/fixtures/pillow_resize.py says how it was made. */
typedef struct {
    int source_rows, source_columns, target_rows, target_columns;
    char filter[9];
    uint8_t source[RESIZE_MAX_SIDE * RESIZE_MAX_SIDE], target[RESIZE_MAX_SIDE * RESIZE_MAX_SIDE];
} pillow_record;

static int read_little_endian(const uint8_t *bytes) { return bytes[0] | bytes[1] << 8; }

static int read_record(FILE *file, pillow_record *record)
{
    uint8_t head[16];
    if (fread(head, 1, sizeof head, file) != sizeof head) return 0;
    record->source_rows = read_little_endian(head);
    record->source_columns = read_little_endian(head + 2);
    record->target_rows = read_little_endian(head + 4);
    record->target_columns = read_little_endian(head + 6);
    memcpy(record->filter, head + 8, 8);
    record->filter[8] = '\0';
    size_t source_bytes = (size_t)(record->source_rows * record->source_columns);
    size_t target_bytes = (size_t)(record->target_rows * record->target_columns);
    ck_assert_uint_eq(fread(record->source, 1, source_bytes, file), source_bytes);
    ck_assert_uint_eq(fread(record->target, 1, target_bytes, file), target_bytes);
    return 1;
}

static void compare_record(const pillow_record *record)
{
    static uint8_t target[RESIZE_MAX_SIDE * RESIZE_MAX_SIDE];
    const resize_filter *filter = resize_find(record->filter);
    ck_assert_ptr_nonnull(filter);
    resize_plan *plan;
    ck_assert_int_eq(
        resize_plan_create(filter, record->source_rows, record->source_columns, record->target_rows, record->target_columns, &plan),
        VGG_OK);
    resize_apply(plan, record->source, target);
    resize_plan_free(plan);
    for (int i = 0; i < record->target_rows * record->target_columns; i++)
        if (target[i] != record->target[i])
            ck_abort_msg("%s %dx%d -> %dx%d: byte %d is %d, Pillow gives %d", record->filter, record->source_rows,
                         record->source_columns, record->target_rows, record->target_columns, i, target[i], record->target[i]);
}

START_TEST(gives_the_bytes_of_pillow)
{
    FILE *file = fopen(VGG_TEST_FIXTURES "/pillow_resize.bin", "rb");
    ck_assert_ptr_nonnull(file);
    static pillow_record record;
    int records = 0;
    for (; read_record(file, &record); records++) compare_record(&record);
    fclose(file);
    ck_assert_int_eq(records, 3 * (6 + 2 * 14));
}
END_TEST

START_TEST(a_flat_image_stays_flat)
{
    for (const resize_filter *filter = resize_filters; filter->name; filter++)
        for (int side = 1; side <= 32; side++) {
            uint8_t source[32 * 32], target[32 * 32];
            resize_plan *plan;
            memset(source, 200, sizeof source);
            ck_assert_int_eq(resize_plan_create(filter, side, 33 - side, 32, 32, &plan), VGG_OK);
            resize_apply(plan, source, target);
            resize_plan_free(plan);
            int flat = 0;
            for (int i = 0; i < 32 * 32; i++) flat += target[i] == 200;
            int expected = strcmp(filter->name, "pad") == 0 ? side * (33 - side) : 32 * 32;
            ck_assert_msg(flat == expected, "%s, %dx%d: %d of %d bytes", filter->name, side, 33 - side, flat, expected);
        }
}
END_TEST

START_TEST(pad_centres_the_image_between_zeros)
{
    uint8_t source[28 * 28], target[32 * 32];
    for (int i = 0; i < 28 * 28; i++) source[i] = (uint8_t)(1 + i % 255);
    resize_plan *plan;
    ck_assert_int_eq(resize_plan_create(resize_find("pad"), 28, 28, 32, 32, &plan), VGG_OK);
    resize_apply(plan, source, target);
    resize_plan_free(plan);
    for (int y = 0; y < 32; y++)
        for (int x = 0; x < 32; x++) {
            int inside = y >= 2 && y < 30 && x >= 2 && x < 30;
            if (target[y * 32 + x] != (inside ? source[(y - 2) * 28 + x - 2] : 0)) ck_abort_msg("row %d, column %d", y, x);
        }
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
    static const int sizes[][4] = {{0, 28, 32, 32},
                                   {28, 0, 32, 32},
                                   {28, 28, 0, 32},
                                   {28, 28, 32, 0},
                                   {-1, 28, 32, 32},
                                   {RESIZE_MAX_SIDE + 1, 28, 32, 32},
                                   {28, 28, 32, RESIZE_MAX_SIDE + 1}};
    for (const resize_filter *filter = resize_filters; filter->name; filter++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            resize_plan *plan;
            const int *size = sizes[i];
            ck_assert_int_eq(resize_plan_create(filter, size[0], size[1], size[2], size[3], &plan), VGG_BAD_OPTION);
            ck_assert_ptr_null(plan);
        }
    resize_plan *plan;
    ck_assert_int_eq(resize_plan_create(resize_find("pad"), 33, 32, 32, 32, &plan), VGG_BAD_OPTION);
    ck_assert_int_eq(resize_plan_create(resize_find("pad"), 32, 33, 32, 32, &plan), VGG_BAD_OPTION);
}
END_TEST

START_TEST(the_table_is_found_by_name)
{
    ck_assert_str_eq(resize_find("bicubic")->name, "bicubic");
    ck_assert_ptr_null(resize_find("lanczos"));
    ck_assert_ptr_null(resize_find(""));
    for (const resize_filter *filter = resize_filters; filter->name; filter++) {
        ck_assert_ptr_eq(resize_find(filter->name), filter);
        ck_assert_uint_gt(strlen(filter->good_when), 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resize");
    TCase *tests = tcase_create("resize");
    tcase_add_test(tests, gives_the_bytes_of_pillow);
    tcase_add_test(tests, a_flat_image_stays_flat);
    tcase_add_test(tests, pad_centres_the_image_between_zeros);
    tcase_add_test(tests, impossible_sizes_are_refused);
    tcase_add_test(tests, the_table_is_found_by_name);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

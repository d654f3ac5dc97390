#include "vgg11/data/dataset.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "idx_files.h"
#include "support/support.h"
#include "vgg11/data/idx.h"

static char *folder;
static dataset_source source;

static void set_up(void) { folder = support_make_folder(); }

static void tear_down(void)
{
    support_remove_folder(folder);
    free(folder);
}

typedef struct {
    uint8_t *images, *labels;
} decoded;

static decoded make_decoded(size_t count) { return (decoded){calloc(count + 1, DATASET_PIXELS), calloc(count + 1, 1)}; }

static void free_decoded(decoded set)
{
    free(set.images);
    free(set.labels);
}

static const resize_filter *bilinear(void) { return resize_find("bilinear"); }

static vgg_status decode_part(vgg_range part, decoded into)
{
    return dataset_decode(&source, bilinear(), false, part, into.images + part.first * DATASET_PIXELS, into.labels + part.first);
}

/* The samples of `source` by the simplest way: all raw images, resized one after another. */
static decoded decode_plainly(const resize_filter *filter)
{
    decoded set = make_decoded(source.count);
    size_t raw_bytes = (size_t)source.rows * source.columns;
    uint8_t *raw = malloc(source.count * raw_bytes);
    resize_plan *plan;
    ck_assert_int_eq(idx_files_read_images(source.images_path, (vgg_range){0, source.count}, raw), VGG_OK);
    ck_assert_int_eq(idx_read_labels(source.labels_path, (vgg_range){0, source.count}, set.labels), VGG_OK);
    ck_assert_int_eq(resize_plan_create(filter, (int)source.rows, (int)source.columns, DATASET_SIDE, DATASET_SIDE, &plan), VGG_OK);
    for (size_t i = 0; i < source.count; i++) resize_apply(plan, raw + i * raw_bytes, set.images + i * DATASET_PIXELS);
    resize_plan_free(plan);
    free(raw);
    return set;
}

static void assert_same(decoded a, decoded b, size_t count)
{
    ck_assert(memcmp(a.images, b.images, count * DATASET_PIXELS) == 0);
    ck_assert(memcmp(a.labels, b.labels, count) == 0);
}

START_TEST(parts_decoded_apart_are_the_whole)
{
    ck_assert_int_eq(dataset_open(VGG_TEST_DATA, DATASET_TEST, 0, &source), VGG_OK);
    ck_assert(source.count == 10000 && source.rows == 28 && source.columns == 28);
    decoded expected = decode_plainly(bilinear());
    for (size_t parts = 1; parts <= 8; parts++) {
        decoded set = make_decoded(source.count);
        omp_set_num_threads(1 + (int)parts % 3);
        for (size_t i = 0; i < parts; i++) ck_assert_int_eq(decode_part(range_part(source.count, parts, i), set), VGG_OK);
        assert_same(set, expected, source.count);
        free_decoded(set);
    }
    free_decoded(expected);
}
END_TEST

START_TEST(all_filters_and_thread_counts_decode_alike)
{
    ck_assert_int_eq(dataset_open(VGG_TEST_DATA, DATASET_TRAIN, 1001, &source), VGG_OK);
    for (const resize_filter *filter = resize_filters; filter->name; filter++) {
        decoded expected = decode_plainly(filter);
        for (int threads = 1; threads <= 5; threads++) {
            decoded set = make_decoded(source.count);
            omp_set_num_threads(threads);
            vgg_range all = {0, source.count};
            ck_assert_int_eq(dataset_decode(&source, filter, false, all, set.images, set.labels), VGG_OK);
            assert_same(set, expected, source.count);
            free_decoded(set);
        }
        free_decoded(expected);
    }
}
END_TEST

START_TEST(fewer_samples_than_parts_leave_some_with_nothing_to_do)
{
    ck_assert_int_eq(dataset_open(VGG_TEST_DATA, DATASET_TRAIN, 3, &source), VGG_OK);
    decoded expected = decode_plainly(bilinear()), set = make_decoded(3);
    for (size_t i = 0; i < 8; i++) ck_assert_int_eq(decode_part(range_part(3, 8, i), set), VGG_OK);
    assert_same(set, expected, 3);
    ck_assert_uint_eq(set.labels[3], 0);
    free_decoded(set);
    free_decoded(expected);
}
END_TEST

START_TEST(the_bug_resizes_only_the_first_and_the_last_image)
{
    ck_assert_int_eq(dataset_open(VGG_TEST_DATA, DATASET_TRAIN, 600, &source), VGG_OK);
    decoded expected = decode_plainly(bilinear());
    memset(expected.images + DATASET_PIXELS, 0, (600 - 2) * DATASET_PIXELS);
    for (size_t parts = 1; parts <= 3; parts++) {
        decoded set = make_decoded(600);
        memset(set.images, 0xee, 600 * DATASET_PIXELS);
        for (size_t i = 0; i < parts; i++) {
            vgg_range part = range_part(600, parts, i);
            ck_assert_int_eq(
                dataset_decode(&source, bilinear(), true, part, set.images + part.first * DATASET_PIXELS, set.labels + part.first),
                VGG_OK);
        }
        assert_same(set, expected, 600);
        free_decoded(set);
    }
    free_decoded(expected);
}
END_TEST

START_TEST(images_of_other_sizes_are_decoded)
{
    static const uint32_t sizes[][3] = {{1, 1, 1}, {5, 32, 32}, {300, 20, 24}, {2, 32, 1}, {513, 7, 31}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        idx_write_set(folder, sizes[i][0], sizes[i][1], sizes[i][2]);
        ck_assert_msg(dataset_open(folder, DATASET_TEST, 0, &source) == VGG_OK, "%s", vgg_message());
        decoded expected = decode_plainly(bilinear()), set = make_decoded(source.count);
        ck_assert_int_eq(decode_part((vgg_range){0, source.count}, set), VGG_OK);
        assert_same(set, expected, source.count);
        free_decoded(set);
        free_decoded(expected);
    }
}
END_TEST

static void assert_not_opened(vgg_status expected, uint32_t limit, const char *says)
{
    vgg_status status = dataset_open(folder, DATASET_TRAIN, limit, &source);
    ck_assert_msg(status == expected && strstr(vgg_message(), says), "status %d, \"%s\" lacks \"%s\"", status, vgg_message(), says);
}

START_TEST(a_limit_is_checked)
{
    idx_write_set(folder, 10, 4, 4);
    ck_assert_int_eq(dataset_open(folder, DATASET_TRAIN, 7, &source), VGG_OK);
    ck_assert_uint_eq(source.count, 7);
    ck_assert_int_eq(dataset_open(folder, DATASET_TRAIN, 10, &source), VGG_OK);
    assert_not_opened(VGG_BAD_OPTION, 11, "--train-samples 11");
    assert_not_opened(VGG_BAD_OPTION, UINT32_MAX, "--train-samples");
    ck_assert_int_eq(dataset_open(folder, DATASET_TEST, 11, &source), VGG_BAD_OPTION);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "--test-samples 11"));
}
END_TEST

static void move(const char *from, const char *to) { ck_assert_int_eq(rename(path_in(folder, from), path_in(folder, to)), 0); }

START_TEST(a_missing_file_is_named)
{
    assert_not_opened(VGG_BAD_DATA, 0, "train-images-idx3-ubyte");
    idx_write_set(folder, 10, 4, 4);
    move("train-labels-idx1-ubyte.gz", "elsewhere");
    assert_not_opened(VGG_BAD_DATA, 0, "train-labels-idx1-ubyte");
}
END_TEST

START_TEST(swapped_files_are_seen)
{
    idx_write_set(folder, 10, 4, 4);
    move("train-labels-idx1-ubyte.gz", "labels");
    move("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz");
    move("labels", "train-images-idx3-ubyte.gz");
    assert_not_opened(VGG_BAD_DATA, 0, "swapped");
}
END_TEST

START_TEST(counts_that_differ_are_seen)
{
    idx_write_set(folder, 10, 4, 4);
    move("train-images-idx3-ubyte.gz", "ten-images.gz");
    idx_write_set(folder, 9, 4, 4);
    move("ten-images.gz", "train-images-idx3-ubyte.gz");
    assert_not_opened(VGG_BAD_DATA, 0, "announces 10 images");
    ck_assert_ptr_nonnull(strstr(vgg_message(), "announces 9 labels"));
}
END_TEST

START_TEST(a_plain_file_goes_before_a_gzipped_one)
{
    idx_write_set(folder, 10, 4, 4);
    byte_buffer images = idx_make((const uint32_t[]){0x803, 3, 2, 2}, 4, 12);
    byte_buffer labels = idx_make((const uint32_t[]){0x801, 3}, 2, 3);
    file_write(path_in(folder, "train-images-idx3-ubyte"), images.bytes, images.count);
    file_write(path_in(folder, "train-labels-idx1-ubyte"), labels.bytes, labels.count);
    ck_assert_int_eq(dataset_open(folder, DATASET_TRAIN, 0, &source), VGG_OK);
    ck_assert_uint_eq(source.count, 3);
    free(images.bytes);
    free(labels.bytes);
}
END_TEST

/* A data set whose training images and labels have other names. */
static void rename_set(const char *images, const char *labels)
{
    idx_write_set(folder, 10, 4, 4);
    move("train-images-idx3-ubyte.gz", images);
    move("train-labels-idx1-ubyte.gz", labels);
}

START_TEST(other_names_are_known)
{
    rename_set("train-images.idx3-ubyte", "train-labels.idx1-ubyte");
    ck_assert_msg(dataset_open(folder, DATASET_TRAIN, 0, &source) == VGG_OK, "%s", vgg_message());
    rename_set("emnist-digits-train-images-idx3-ubyte.gz", "emnist-digits-train-labels-idx1-ubyte.gz");
    move("t10k-images-idx3-ubyte.gz", "emnist-digits-test-images-idx3-ubyte.gz");
    move("t10k-labels-idx1-ubyte.gz", "emnist-digits-test-labels-idx1-ubyte.gz");
    ck_assert_msg(dataset_open(folder, DATASET_TEST, 0, &source) == VGG_OK, "%s", vgg_message());
    move("train-images.idx3-ubyte", "gone"), move("train-labels.idx1-ubyte", "gone");
    ck_assert_msg(dataset_open(folder, DATASET_TRAIN, 0, &source) == VGG_OK, "%s", vgg_message());
    ck_assert_uint_eq(source.count, 10);
}
END_TEST

START_TEST(a_folder_of_that_name_may_hold_the_file)
{
    ck_assert_int_eq(mkdir(path_in(folder, "train-images-idx3-ubyte"), 0700), 0);
    ck_assert_int_eq(mkdir(path_in(folder, "train-labels.idx1-ubyte"), 0700), 0);
    rename_set("train-images-idx3-ubyte/train-images-idx3-ubyte", "train-labels.idx1-ubyte/train-labels.idx1-ubyte");
    ck_assert_msg(dataset_open(folder, DATASET_TRAIN, 0, &source) == VGG_OK, "%s", vgg_message());
    ck_assert_str_eq(source.images_path, path_in(folder, "train-images-idx3-ubyte/train-images-idx3-ubyte"));
}
END_TEST

START_TEST(a_folder_or_a_pipe_in_place_of_a_file_is_refused)
{
    idx_write_set(folder, 10, 4, 4);
    ck_assert_int_eq(mkdir(path_in(folder, "train-images-idx3-ubyte"), 0700), 0);
    assert_not_opened(VGG_BAD_DATA, 0, "not a regular file");
    ck_assert_int_eq(rmdir(path_in(folder, "train-images-idx3-ubyte")), 0);
    ck_assert_int_eq(mkfifo(path_in(folder, "train-images-idx3-ubyte"), 0600), 0);
    assert_not_opened(VGG_BAD_DATA, 0, "not a regular file");
}
END_TEST

/* Cuts the gzipped images after dataset_open() at many places: whoever needs what is missing must fail, with any threads. */
START_TEST(a_file_cut_off_fails_in_the_parts_that_need_it)
{
    idx_write_set(folder, 2000, 28, 28);
    ck_assert_int_eq(dataset_open(folder, DATASET_TRAIN, 0, &source), VGG_OK);
    struct stat status;
    ck_assert_int_eq(stat(source.images_path, &status), 0);
    decoded set = make_decoded(2000);
    for (off_t cut = 1; cut <= status.st_size; cut += status.st_size / 12) {
        ck_assert_int_eq(truncate(source.images_path, status.st_size - cut), 0);
        omp_set_num_threads(1 + (int)(cut % 4));
        ck_assert_int_eq(decode_part((vgg_range){1500, 500}, set), VGG_BAD_DATA);
        ck_assert_ptr_nonnull(strstr(vgg_message(), source.images_path));
    }
    free_decoded(set);
}
END_TEST

START_TEST(files_changed_after_opening_are_seen)
{
    decoded set = make_decoded(10);
    idx_write_set(folder, 10, 4, 4);
    ck_assert_int_eq(dataset_open(folder, DATASET_TRAIN, 0, &source), VGG_OK);
    static const uint32_t others[][3] = {{10, 32, 4}, {10, 4, 32}, {10, 2, 8}};
    for (int i = 0; i < 3; i++) {
        idx_write_set(folder, others[i][0], others[i][1], others[i][2]);
        ck_assert_int_eq(decode_part((vgg_range){0, 10}, set), VGG_BAD_DATA);
        ck_assert_ptr_nonnull(strstr(vgg_message(), "was changed"));
    }
    idx_write_set(folder, 5, 4, 4);
    ck_assert_int_eq(decode_part((vgg_range){0, 10}, set), VGG_BAD_DATA);
    ck_assert_int_eq(decode_part((vgg_range){5, 5}, set), VGG_BAD_DATA);
    free_decoded(set);
}
END_TEST

START_TEST(a_wrong_label_is_seen_by_the_part_that_holds_it)
{
    idx_write_set(folder, 10, 4, 4);
    byte_buffer labels = idx_make((const uint32_t[]){0x801, 10}, 2, 10);
    labels.bytes[8 + 7] = 10;
    file_write(path_in(folder, "train-labels-idx1-ubyte"), labels.bytes, labels.count);
    free(labels.bytes);
    ck_assert_int_eq(dataset_open(folder, DATASET_TRAIN, 0, &source), VGG_OK);
    decoded set = make_decoded(10);
    ck_assert_int_eq(decode_part((vgg_range){0, 5}, set), VGG_OK);
    ck_assert_int_eq(decode_part((vgg_range){5, 5}, set), VGG_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "label 7 is 10"));
    free_decoded(set);
}
END_TEST

static uint64_t digest(decoded set, vgg_range part)
{
    return dataset_digest(set.images + part.first * DATASET_PIXELS, set.labels + part.first, part);
}

START_TEST(digests_of_parts_add_up)
{
    ck_assert_int_eq(dataset_open(VGG_TEST_DATA, DATASET_TRAIN, 101, &source), VGG_OK);
    decoded set = decode_plainly(bilinear());
    uint64_t whole = digest(set, (vgg_range){0, 101});
    for (size_t parts = 2; parts <= 8; parts++) {
        uint64_t sum = 0;
        omp_set_num_threads(1 + (int)parts % 3);
        for (size_t i = 0; i < parts; i++) sum += digest(set, range_part(101, parts, i));
        ck_assert_uint_eq(sum, whole);
    }
    free_decoded(set);
}
END_TEST

static void swap_images(decoded set)
{
    uint8_t first[DATASET_PIXELS];
    memcpy(first, set.images, DATASET_PIXELS);
    memcpy(set.images, set.images + DATASET_PIXELS, DATASET_PIXELS);
    memcpy(set.images + DATASET_PIXELS, first, DATASET_PIXELS);
}

static void change_pixel(decoded set) { set.images[2 * DATASET_PIXELS - 1] ^= 1; }
static void change_label(decoded set) { set.labels[2] ^= 1; }
static void (*const changes[])(decoded) = {swap_images, change_pixel, change_label};

START_TEST(a_digest_sees_each_change)
{
    ck_assert_int_eq(dataset_open(VGG_TEST_DATA, DATASET_TRAIN, 3, &source), VGG_OK);
    decoded set = decode_plainly(bilinear());
    uint64_t before = digest(set, (vgg_range){0, 3});
    changes[_i](set);
    ck_assert_uint_ne(digest(set, (vgg_range){0, 3}), before);
    free_decoded(set);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dataset");
    TCase *tests = tcase_create("dataset");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, parts_decoded_apart_are_the_whole);
    tcase_add_test(tests, all_filters_and_thread_counts_decode_alike);
    tcase_add_test(tests, fewer_samples_than_parts_leave_some_with_nothing_to_do);
    tcase_add_test(tests, the_bug_resizes_only_the_first_and_the_last_image);
    tcase_add_test(tests, images_of_other_sizes_are_decoded);
    tcase_add_test(tests, a_limit_is_checked);
    tcase_add_test(tests, a_missing_file_is_named);
    tcase_add_test(tests, swapped_files_are_seen);
    tcase_add_test(tests, counts_that_differ_are_seen);
    tcase_add_test(tests, a_plain_file_goes_before_a_gzipped_one);
    tcase_add_test(tests, other_names_are_known);
    tcase_add_test(tests, a_folder_of_that_name_may_hold_the_file);
    tcase_add_test(tests, a_folder_or_a_pipe_in_place_of_a_file_is_refused);
    tcase_add_test(tests, a_file_cut_off_fails_in_the_parts_that_need_it);
    tcase_add_test(tests, files_changed_after_opening_are_seen);
    tcase_add_test(tests, a_wrong_label_is_seen_by_the_part_that_holds_it);
    tcase_add_test(tests, digests_of_parts_add_up);
    tcase_add_loop_test(tests, a_digest_sees_each_change, 0, sizeof changes / sizeof changes[0]);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

/* Faults planted in real digits, and digits that have none. */
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "vgg11/doctor/data.h"

enum { TRAIN = 3000, TEST = 1000 };

typedef struct {
    uint8_t *images, *labels;
    dataset set;
} digits;

static digits train, test;
static doctor_findings findings;

static digits read_digits(dataset_split split, uint32_t count)
{
    dataset_source source;
    digits d = {.images = malloc((size_t)count * DATASET_PIXELS), .labels = malloc(count)};
    ck_assert(dataset_open(VGG_TEST_DATA, split, count, &source) == VGG_OK);
    ck_assert(dataset_decode(&source, resize_find("bilinear"), false, (vgg_range){0, count}, d.images, d.labels) == VGG_OK);
    d.set = (dataset){.images = d.images, .labels = d.labels, .count = count};
    return d;
}

static void set_up(void)
{
    train = read_digits(DATASET_TRAIN, TRAIN);
    test = read_digits(DATASET_TEST, TEST);
    findings.count = 0;
}

static void tear_down(void)
{
    free(train.images), free(train.labels);
    free(test.images), free(test.labels);
}

static const doctor_finding *first_of(void)
{
    doctor_check_data(&train.set, &test.set, &findings);
    ck_assert(doctor_check_copies(&train.set, &test.set, &findings) == VGG_OK);
    static const doctor_finding none = {.name = "nothing"};
    return findings.count > 0 ? &findings.list[0] : &none;
}

static void expect_whole(const doctor_finding *finding) { ck_assert(*finding->what && *finding->seen && *finding->change); }

static void expect(const char *name, doctor_sureness sureness)
{
    const doctor_finding *first = first_of();
    ck_assert_str_eq(first->name, name);
    ck_assert_int_eq(first->sureness, sureness);
    expect_whole(first);
}

static uint8_t *image(const digits *d, size_t index) { return d->images + index * DATASET_PIXELS; }

static void transpose(const digits *d)
{
    for (uint32_t i = 0; i < d->set.count; i++) {
        uint8_t copy[DATASET_PIXELS];
        memcpy(copy, image(d, i), sizeof copy);
        for (int p = 0; p < DATASET_PIXELS; p++) image(d, i)[p] = copy[p % DATASET_SIDE * DATASET_SIDE + p / DATASET_SIDE];
    }
}

static void invert(const digits *d)
{
    for (size_t i = 0; i < (size_t)d->set.count * DATASET_PIXELS; i++) d->images[i] = (uint8_t)(255 - d->images[i]);
}

/* Fisher-Yates by a linear congruential generator. */
static void shuffle(uint8_t *labels, uint32_t count)
{
    uint32_t state = 1;
    for (uint32_t i = count; i > 1; i--) {
        state = state * 1664525u + 1013904223u;
        uint32_t other = (uint32_t)(((uint64_t)state * i) >> 32);
        uint8_t held = labels[i - 1];
        labels[i - 1] = labels[other];
        labels[other] = held;
    }
}

START_TEST(sound_digits_have_nothing)
{
    ck_assert_str_eq(first_of()->name, "nothing");
    for (uint32_t count = 1; count < 700; count = count * 3 + 1) {
        train.set.count = count;
        test.set.count = count / 2 + 1;
        ck_assert_msg(strcmp(first_of()->name, "nothing") == 0, "%u images: %s", count, first_of()->what);
    }
}
END_TEST

START_TEST(images_that_are_turned_in_both_sets_are_sound)
{
    transpose(&train), transpose(&test);
    invert(&train), invert(&test);
    ck_assert_str_eq(first_of()->name, "nothing");
}
END_TEST

START_TEST(blank_but_for_the_ends)
{
    memset(image(&train, 1), 0, (size_t)(TRAIN - 2) * DATASET_PIXELS);
    expect("blank-images", DOCTOR_CERTAIN);
    ck_assert_str_eq(findings.list[0].what, "2,998 of 3,000 training images are blank; only the first and the last were resized");
    ck_assert(doctor_data_is_void(&findings));
}
END_TEST

START_TEST(a_few_blank_ones_are_no_loop)
{
    memset(image(&train, 7), 0, DATASET_PIXELS);
    expect("blank-images", DOCTOR_POSSIBLE);
    ck_assert_str_eq(findings.list[0].what, "1 of 3,000 training images are blank");
    ck_assert(!doctor_data_is_void(&findings));
}
END_TEST

START_TEST(blank_test_images)
{
    memset(image(&test, 0), 0, (size_t)TEST * DATASET_PIXELS);
    expect("blank-test-images", DOCTOR_CERTAIN);
    ck_assert(!doctor_data_is_void(&findings));
}
END_TEST

START_TEST(images_of_one_grey)
{
    memset(image(&train, 0), 128, (size_t)TRAIN * DATASET_PIXELS);
    expect("blank-images", DOCTOR_CERTAIN);
    ck_assert_str_eq(findings.list[0].what, "3,000 of 3,000 training images are of a single grey");
}
END_TEST

START_TEST(images_that_are_all_the_same)
{
    for (size_t i = 1; i < TRAIN; i++) memcpy(image(&train, i), image(&train, 0), DATASET_PIXELS);
    expect("identical-images", DOCTOR_CERTAIN);
    ck_assert(doctor_data_is_void(&findings));
}
END_TEST

START_TEST(shuffled_labels)
{
    shuffle(train.labels, TRAIN);
    expect("unrelated-labels", DOCTOR_CERTAIN);
    ck_assert(doctor_data_is_void(&findings));
}
END_TEST

START_TEST(shuffled_test_labels)
{
    shuffle(test.labels, TEST);
    expect("unrelated-test-labels", DOCTOR_CERTAIN);
}
END_TEST

START_TEST(labels_that_come_one_later)
{
    memmove(train.labels + 1, train.labels, TRAIN - 1);
    expect("shifted-labels", DOCTOR_CERTAIN);
    ck_assert_ptr_nonnull(strstr(findings.list[0].what, "off by one image: that of image i stands at place i + 1"));
}
END_TEST

START_TEST(labels_that_come_one_earlier)
{
    memmove(train.labels, train.labels + 1, TRAIN - 1);
    expect("shifted-labels", DOCTOR_CERTAIN);
    ck_assert_ptr_nonnull(strstr(findings.list[0].what, "off by one image: that of image i stands at place i - 1"));
}
END_TEST

START_TEST(test_labels_that_come_one_later)
{
    memmove(test.labels + 1, test.labels, TEST - 1);
    expect("shifted-test-labels", DOCTOR_CERTAIN);
}
END_TEST

START_TEST(inverted_test_images)
{
    invert(&test);
    expect("inverted-images", DOCTOR_CERTAIN);
    ck_assert(!doctor_has(&findings, "unlike-brightness"));
}
END_TEST

START_TEST(inverted_training_images)
{
    invert(&train);
    expect("inverted-images", DOCTOR_CERTAIN);
}
END_TEST

START_TEST(transposed_test_images)
{
    transpose(&test);
    expect("turned-images", DOCTOR_CERTAIN);
    ck_assert_ptr_nonnull(strstr(findings.list[0].what, "transposed (rows and columns exchanged)"));
}
END_TEST

START_TEST(transposed_training_images)
{
    transpose(&train);
    expect("turned-images", DOCTOR_CERTAIN);
    ck_assert_ptr_nonnull(strstr(findings.list[0].what, "transposed (rows and columns exchanged)"));
}
END_TEST

START_TEST(darker_test_images)
{
    for (size_t i = 0; i < (size_t)TEST * DATASET_PIXELS; i++) test.images[i] /= 3;
    first_of();
    ck_assert(doctor_has(&findings, "unlike-brightness") || doctor_has(&findings, "unlike-sets"));
}
END_TEST

START_TEST(one_class_alone)
{
    memset(train.labels, 4, TRAIN);
    expect("skewed-classes", DOCTOR_CERTAIN);
}
END_TEST

START_TEST(a_class_that_is_missing)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < TRAIN; i++) {
        if (train.labels[i] == 7) continue;
        memcpy(image(&train, kept), image(&train, i), DATASET_PIXELS);
        train.labels[kept++] = train.labels[i];
    }
    train.set.count = kept;
    expect("missing-classes", DOCTOR_LIKELY);
    ck_assert_str_eq(findings.list[0].what, "no training image has the label 7");
}
END_TEST

START_TEST(test_images_from_the_training_set)
{
    memcpy(image(&test, 100), image(&train, 300), 200 * DATASET_PIXELS);
    memcpy(test.labels + 100, train.labels + 300, 200);
    expect("test-images-in-training", DOCTOR_LIKELY);
    ck_assert_str_eq(findings.list[0].what, "200 of 1,000 test images are among the training images");
}
END_TEST

START_TEST(training_images_that_are_there_twice)
{
    memcpy(image(&train, 1000), image(&train, 0), 500 * DATASET_PIXELS);
    memcpy(train.labels + 1000, train.labels, 500);
    expect("repeated-images", DOCTOR_POSSIBLE);
    ck_assert_str_eq(findings.list[0].what, "500 of 3,000 training images are there before");
}
END_TEST

/* As a network gets the digits by one of the program's normalisations. */
static int scale_findings(const char *name)
{
    uint64_t histogram[256] = {0};
    normalization pixels;
    normalization_count(train.images, TRAIN, histogram);
    normalization_find(name)->fill(&pixels, histogram);
    findings.count = 0;
    doctor_check_scale(&pixels, histogram, &findings);
    return findings.count;
}

START_TEST(raw_bytes_are_not_normalised)
{
    ck_assert_int_eq(scale_findings("standard"), 0);
    ck_assert_int_eq(scale_findings("unit"), 0);
    ck_assert_int_eq(scale_findings("none"), 1);
    ck_assert_str_eq(findings.list[0].name, "unnormalised-inputs");
}
END_TEST

static int compare_bytes(const void *a, const void *b) { return *(const uint8_t *)a - *(const uint8_t *)b; }

START_TEST(sorted_samples_want_shuffling)
{
    doctor_check_order(&train.set, false, &findings);
    ck_assert_int_eq(findings.count, 0);
    qsort(train.labels, TRAIN, 1, compare_bytes);
    doctor_check_order(&train.set, true, &findings);
    ck_assert_int_eq(findings.count, 0);
    doctor_check_order(&train.set, false, &findings);
    ck_assert_str_eq(findings.list[0].name, "sorted-samples");
    expect_whole(&findings.list[0]);
}
END_TEST

START_TEST(the_surest_comes_first)
{
    doctor_add(&findings, "a", DOCTOR_POSSIBLE);
    doctor_add(&findings, "b", DOCTOR_CERTAIN);
    doctor_add(&findings, "c", DOCTOR_LIKELY);
    doctor_add(&findings, "d", DOCTOR_CERTAIN);
    const char *const order[] = {"b", "d", "c", "a"};
    for (int i = 0; i < 4; i++) ck_assert_str_eq(findings.list[i].name, order[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("doctor_data");
    TCase *cases = tcase_create("data");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, sound_digits_have_nothing);
    tcase_add_test(cases, images_that_are_turned_in_both_sets_are_sound);
    tcase_add_test(cases, blank_but_for_the_ends);
    tcase_add_test(cases, a_few_blank_ones_are_no_loop);
    tcase_add_test(cases, blank_test_images);
    tcase_add_test(cases, images_of_one_grey);
    tcase_add_test(cases, images_that_are_all_the_same);
    tcase_add_test(cases, shuffled_labels);
    tcase_add_test(cases, shuffled_test_labels);
    tcase_add_test(cases, labels_that_come_one_later);
    tcase_add_test(cases, labels_that_come_one_earlier);
    tcase_add_test(cases, test_labels_that_come_one_later);
    tcase_add_test(cases, inverted_test_images);
    tcase_add_test(cases, inverted_training_images);
    tcase_add_test(cases, transposed_test_images);
    tcase_add_test(cases, transposed_training_images);
    tcase_add_test(cases, darker_test_images);
    tcase_add_test(cases, one_class_alone);
    tcase_add_test(cases, a_class_that_is_missing);
    tcase_add_test(cases, test_images_from_the_training_set);
    tcase_add_test(cases, training_images_that_are_there_twice);
    tcase_add_test(cases, raw_bytes_are_not_normalised);
    tcase_add_test(cases, sorted_samples_want_shuffling);
    tcase_add_test(cases, the_surest_comes_first);
    suite_add_tcase(suite, cases);
    return support_run(suite, NULL);
}

#include "vgg11/data/batch.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "vgg11/base/random.h"

enum { IMAGES = 50 };

static uint8_t *images, labels[IMAGES];

static void set_up(void)
{
    float noise[DATASET_PIXELS];
    images = malloc(IMAGES * DATASET_PIXELS);
    for (int i = 0; i < IMAGES; i++) {
        support_fill(noise, DATASET_PIXELS, (unsigned)i);
        for (int p = 0; p < DATASET_PIXELS; p++)
            images[i * DATASET_PIXELS + p] = noise[p] < 0.2f && p % 64 < 40 ? 0 : (uint8_t)(128 + 127 * noise[p]);
        labels[i] = (uint8_t)(i % DATASET_CLASSES);
    }
}

static void tear_down(void) { free(images); }

static void count_one_by_one(uint64_t histogram[256])
{
    for (size_t i = 0; i < (size_t)IMAGES * DATASET_PIXELS; i++) histogram[images[i]]++;
}

START_TEST(the_histogram_is_exact_and_adds_up)
{
    uint64_t expected[256] = {0}, whole[256] = {0}, parts[256] = {0};
    count_one_by_one(expected);
    normalization_count(images, IMAGES, whole);
    ck_assert_mem_eq(whole, expected, sizeof whole);
    normalization_count(images, 13, parts);
    normalization_count(images + 13 * DATASET_PIXELS, 0, parts);
    normalization_count(images + 13 * DATASET_PIXELS, IMAGES - 13, parts);
    ck_assert_mem_eq(parts, expected, sizeof parts);
}
END_TEST

/* Mean and deviation summed pixel by pixel, in two passes. */
static void two_pass_moments(double *mean, double *deviation)
{
    const double count = (double)IMAGES * DATASET_PIXELS;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < (size_t)IMAGES * DATASET_PIXELS; i++) sum += images[i] / 255.0;
    *mean = sum / count;
    for (size_t i = 0; i < (size_t)IMAGES * DATASET_PIXELS; i++) squares += pow(images[i] / 255.0 - *mean, 2);
    *deviation = sqrt(squares / count);
}

START_TEST(standard_has_mean_zero_and_deviation_one)
{
    uint64_t histogram[256] = {0};
    double mean, deviation;
    normalization table;
    normalization_count(images, IMAGES, histogram);
    normalization_find("standard")->fill(&table, histogram);
    two_pass_moments(&mean, &deviation);
    ck_assert_double_eq_tol(table.mean, mean, 1e-12);
    ck_assert_double_eq_tol(table.deviation, deviation, 1e-12);
    for (int b = 0; b < 256; b++) ck_assert_double_eq_tol(table.value[b], (b / 255.0 - mean) / deviation, 1e-6);
}
END_TEST

START_TEST(huge_histograms_do_not_overflow)
{
    uint64_t histogram[256] = {0};
    histogram[0] = histogram[255] = UINT64_C(10000000) * DATASET_PIXELS;
    normalization table;
    normalization_find("standard")->fill(&table, histogram);
    ck_assert_double_eq_tol(table.mean, 0.5, 1e-12);
    ck_assert_double_eq_tol(table.deviation, 0.5, 1e-12);
}
END_TEST

START_TEST(pixels_that_are_all_alike_give_finite_values)
{
    uint64_t none[256] = {0}, one[256] = {0};
    one[255] = 1024;
    normalization table;
    normalization_find("standard")->fill(&table, none);
    for (int b = 0; b < 256; b++) ck_assert(isfinite(table.value[b]));
    normalization_find("standard")->fill(&table, one);
    for (int b = 0; b < 256; b++) ck_assert(isfinite(table.value[b]));
    ck_assert_float_eq(table.value[255], 0.0f);
}
END_TEST

START_TEST(unit_and_none_are_what_they_say)
{
    uint64_t histogram[256] = {0};
    normalization table;
    normalization_find("unit")->fill(&table, histogram);
    for (int b = 0; b < 256; b++) ck_assert_float_eq(table.value[b], (float)(b / 255.0));
    normalization_find("none")->fill(&table, histogram);
    for (int b = 0; b < 256; b++) ck_assert_float_eq(table.value[b], (float)b);
    ck_assert_ptr_null(normalization_find("whiten"));
}
END_TEST

START_TEST(a_batch_gathers_its_samples_in_order)
{
    enum { COUNT = 33 };
    uint64_t histogram[256] = {0};
    normalization table;
    normalization_count(images, IMAGES, histogram);
    normalization_find("standard")->fill(&table, histogram);
    const dataset set = {.images = images, .labels = labels, .count = IMAGES};
    uint32_t order[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) order[i] = (i * 17 + 49) % IMAGES;
    float *input = malloc((COUNT + 1) * DATASET_PIXELS * sizeof *input);
    uint8_t got[COUNT + 1];
    for (int threads = 1; threads <= 3; threads++)
        for (uint32_t count = 0; count <= COUNT; count += 11) {
            omp_set_num_threads(threads);
            memset(got, 0xee, sizeof got);
            input[count * DATASET_PIXELS] = 77.0f;
            batch_fill(&set, &table, order, count, input, got);
            ck_assert_float_eq(input[count * DATASET_PIXELS], 77.0f);
            ck_assert_uint_eq(got[count], 0xee);
            for (uint32_t i = 0; i < count; i++) {
                ck_assert_uint_eq(got[i], labels[order[i]]);
                for (int p = 0; p < DATASET_PIXELS; p++)
                    if (input[i * DATASET_PIXELS + p] != table.value[images[order[i] * DATASET_PIXELS + p]])
                        ck_abort_msg("sample %u, pixel %d", i, p);
            }
        }
    free(input);
}
END_TEST

/* By the sample's place in its file and the epoch, wherever in a batch it stands and however many threads there are. */
START_TEST(an_augmented_image_depends_on_place_seed_and_epoch_alone)
{
    enum { COUNT = 20 };
    uint64_t histogram[256] = {0};
    normalization table;
    normalization_find("none")->fill(&table, histogram);
    uint32_t places[IMAGES / 2], order[COUNT];
    for (uint32_t i = 0; i < IMAGES / 2; i++) places[i] = IMAGES - 1 - i;
    const dataset part = {.images = images, .labels = labels, .count = IMAGES / 2, .places = places};
    const batch_augmentation augment = {augmentation_find("affine"), 5, 3};
    for (uint32_t i = 0; i < COUNT; i++) order[i] = (i * 7 + 2) % part.count;
    float *input = malloc(COUNT * DATASET_PIXELS * sizeof *input);
    uint8_t got[COUNT], expected[DATASET_PIXELS];
    for (int threads = 1; threads <= 3; threads++) {
        omp_set_num_threads(threads);
        batch_fill_augmented(&part, &table, &augment, order, COUNT, input, got);
        for (uint32_t i = 0; i < COUNT; i++) {
            uint32_t place = places[order[i]], random[4];
            random_block(5, RANDOM_STREAM_AUGMENT + 3, place, random);
            augment.kind->apply(random, images + place * DATASET_PIXELS, expected);
            ck_assert_uint_eq(got[i], labels[place]);
            for (int p = 0; p < DATASET_PIXELS; p++) ck_assert_float_eq(input[i * DATASET_PIXELS + (uint32_t)p], expected[p]);
        }
    }
    free(input);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batch");
    TCase *tests = tcase_create("batch");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, the_histogram_is_exact_and_adds_up);
    tcase_add_test(tests, standard_has_mean_zero_and_deviation_one);
    tcase_add_test(tests, huge_histograms_do_not_overflow);
    tcase_add_test(tests, pixels_that_are_all_alike_give_finite_values);
    tcase_add_test(tests, unit_and_none_are_what_they_say);
    tcase_add_test(tests, a_batch_gathers_its_samples_in_order);
    tcase_add_test(tests, an_augmented_image_depends_on_place_seed_and_epoch_alone);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

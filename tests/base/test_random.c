#include "vgg11/base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"

/* From the file kat_vectors of Random123 1.14, "philox4x32 10": counter, key, result. */
START_TEST(gives_the_known_answers_of_random123)
{
    static const struct {
        uint32_t counter[4], key[2], result[4];
    } answers[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const uint32_t *counter = answers[i].counter, *key = answers[i].key;
        uint32_t block[4];
        random_block((uint64_t)key[1] << 32 | key[0], (uint64_t)counter[3] << 32 | counter[2],
                     (uint64_t)counter[1] << 32 | counter[0], block);
        ck_assert_mem_eq(block, answers[i].result, sizeof block);
    }
}
END_TEST

enum { DRAWS = 1 << 20 };

START_TEST(a_value_does_not_depend_on_what_was_drawn_before)
{
    float all[1000], part[1000];
    random_fill_uniform(7, 9, 2.5f, all, 1000);
    for (uint64_t i = 0; i < 1000; i++) {
        float expected = 2.5f * (2.0f * random_uniform(7, 9, i) - 1.0f);
        ck_assert_float_eq(all[i], expected);
    }
    random_fill_normal(7, 9, 1.0f, all, 1000);
    for (size_t count = 0; count < 300; count++) {
        memset(part, 0, sizeof part);
        random_fill_normal(7, 9, 1.0f, part, count);
        ck_assert_mem_eq(part, all, count * sizeof *all);
        ck_assert_float_eq(part[count], 0.0f);
    }
}
END_TEST

START_TEST(uniform_values_fill_their_interval_evenly)
{
    enum { BINS = 64 };
    float *values = malloc(DRAWS * sizeof *values);
    size_t bins[BINS] = {0};
    random_fill_uniform(1, 2, 3.0f, values, DRAWS);
    for (size_t i = 0; i < DRAWS; i++) {
        if (!(values[i] >= -3.0f && values[i] < 3.0f)) ck_abort_msg("[%zu] is %g", i, values[i]);
        bins[(int)((values[i] + 3.0f) / 6.0f * BINS)]++;
    }
    double chi_square = 0, expected = (double)DRAWS / BINS;
    for (int b = 0; b < BINS; b++) chi_square += ((double)bins[b] - expected) * ((double)bins[b] - expected) / expected;
    ck_assert_double_lt(chi_square, 120); /* 63 degrees of freedom: above 120 once in 10^5 seeds */
    free(values);
}
END_TEST

static double normal_probability_below(double x) { return 0.5 * erfc(-x / sqrt(2.0)); }

START_TEST(normal_values_have_the_normal_distribution)
{
    enum { BINS = 40 };
    const double deviation = 0.1, width = 0.2; /* bins of 0.2 deviations from -4 to 4 */
    float *values = malloc(DRAWS * sizeof *values);
    size_t bins[BINS] = {0};
    double sum = 0, squares = 0, neighbours = 0;
    random_fill_normal(3, RANDOM_STREAM_INIT, (float)deviation, values, DRAWS);
    for (size_t i = 0; i < DRAWS; i++) {
        double z = values[i] / deviation;
        if (!isfinite(z)) ck_abort_msg("[%zu] is %g", i, values[i]);
        sum += z;
        squares += z * z;
        if (i > 0) neighbours += z * values[i - 1] / deviation;
        if (fabs(z) < 4.0) bins[(int)((z + 4.0) / width)]++;
    }
    ck_assert_double_lt(fabs(sum / DRAWS), 5e-3);
    ck_assert_double_lt(fabs(squares / DRAWS - 1.0), 7e-3);
    ck_assert_double_lt(fabs(neighbours / DRAWS), 5e-3);
    double chi_square = 0;
    for (int b = 0; b < BINS; b++) {
        double low = -4.0 + b * width;
        double expected = DRAWS * (normal_probability_below(low + width) - normal_probability_below(low));
        chi_square += ((double)bins[b] - expected) * ((double)bins[b] - expected) / expected;
    }
    ck_assert_double_lt(chi_square, 90); /* about 39 degrees of freedom */
    free(values);
}
END_TEST

/* Box and Muller from the mathematical library, in double precision. */
START_TEST(normal_values_are_those_of_the_formula)
{
    float values[4096];
    double worst = 0;
    random_fill_normal(11, 12, 1.0f, values, 4096);
    for (uint64_t i = 0; i < 4096; i += 2) {
        uint32_t block[4];
        random_block(11, 12, i / 4, block);
        double u = ((double)(block[i % 4] >> 9) + 0.5) / 0x1p23, angle = 2.0 * M_PI * block[i % 4 + 1] / 0x1p32;
        double radius = sqrt(-2.0 * log(u));
        worst = fmax(worst, fabs(values[i] - radius * cos(angle)));
        worst = fmax(worst, fabs(values[i + 1] - radius * sin(angle)));
    }
    ck_assert_double_lt(worst, 1e-6);
}
END_TEST

START_TEST(a_permutation_holds_each_index_once)
{
    static const uint32_t counts[] = {0, 1, 2, 3, 10, 1000, 60000};
    uint32_t *order = malloc(60000 * sizeof *order);
    unsigned char *seen = malloc(60000);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        memset(seen, 0, 60000);
        random_permutation(5, RANDOM_STREAM_EPOCH, order, counts[c]);
        for (uint32_t i = 0; i < counts[c]; i++) {
            if (order[i] >= counts[c] || seen[order[i]]++) ck_abort_msg("%u of %u: [%u] again", order[i], counts[c], i);
        }
    }
    free(seen);
    free(order);
}
END_TEST

START_TEST(all_permutations_are_equally_likely)
{
    enum { SEEDS = 24000, PERMUTATIONS = 24 };
    size_t times[256] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        uint32_t order[4];
        random_permutation(seed, RANDOM_STREAM_EPOCH + seed % 3, order, 4);
        times[order[0] | order[1] << 2 | order[2] << 4 | order[3] << 6]++;
    }
    double chi_square = 0, expected = (double)SEEDS / PERMUTATIONS;
    int found = 0;
    for (int i = 0; i < 256; i++) {
        if (times[i] == 0) continue;
        found++;
        chi_square += ((double)times[i] - expected) * ((double)times[i] - expected) / expected;
    }
    ck_assert_int_eq(found, PERMUTATIONS);
    ck_assert_double_lt(chi_square, 60); /* 23 degrees of freedom */
}
END_TEST

START_TEST(seeds_and_streams_differ)
{
    uint32_t a[100], b[100], c[100];
    random_permutation(1, RANDOM_STREAM_EPOCH, a, 100);
    random_permutation(1, RANDOM_STREAM_EPOCH + 1, b, 100);
    random_permutation(2, RANDOM_STREAM_EPOCH, c, 100);
    ck_assert_mem_ne(a, b, sizeof a);
    ck_assert_mem_ne(a, c, sizeof a);
    random_permutation(1, RANDOM_STREAM_EPOCH, b, 100);
    ck_assert_mem_eq(a, b, sizeof a);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("random");
    TCase *tests = tcase_create("random");
    tcase_add_test(tests, gives_the_known_answers_of_random123);
    tcase_add_test(tests, a_value_does_not_depend_on_what_was_drawn_before);
    tcase_add_test(tests, uniform_values_fill_their_interval_evenly);
    tcase_add_test(tests, normal_values_have_the_normal_distribution);
    tcase_add_test(tests, normal_values_are_those_of_the_formula);
    tcase_add_test(tests, a_permutation_holds_each_index_once);
    tcase_add_test(tests, all_permutations_are_equally_likely);
    tcase_add_test(tests, seeds_and_streams_differ);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

/* Sums in a fixed order, and bfloat16, without ranks. */
#include "exchange/tree_sum.h"
#include "exchange/error_feedback.h"
#include "vgg11/base/bf16.h"
#include "support/support.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCES = 40, COUNT = 1500 };
static float values[SOURCES][COUNT];
static const float *sources[SOURCES];

static void set_up(void)
{
    for (int s = 0; s < SOURCES; s++) {
        support_fill(values[s], COUNT, (unsigned)s);
        sources[s] = values[s];
    }
}

/* One element's tree: neighbours are added in pairs, then pairs of pairs, and what has no partner goes up alone. */
static float tree_reference(int n, size_t i)
{
    float partial[SOURCES];
    for (int s = 0; s < n; s++) partial[s] = values[s][i];
    for (int step = 1; step < n; step *= 2)
        for (int s = 0; s + step < n; s += 2 * step) partial[s] += partial[s + step];
    return partial[0];
}

START_TEST(tree_has_the_defined_bits)
{
    float sum[COUNT];
    for (int n = 1; n <= SOURCES; n++) {
        size_t first = (size_t)n % 7, count = COUNT - first - (size_t)n;
        sum_tree(sum, sources, n, first, count);
        for (size_t i = 0; i < count; i++) ck_assert(sum[i] == tree_reference(n, first + i));
    }
}
END_TEST

START_TEST(sum_may_replace_a_source)
{
    float expected[COUNT];
    for (int n = 1; n <= 9; n++)
        for (int own = 0; own < n; own++) {
            set_up();
            sum_tree(expected, sources, n, 0, COUNT);
            sum_tree(values[own], sources, n, 0, COUNT);
            ck_assert_mem_eq(values[own], expected, sizeof expected);
        }
}
END_TEST

static float nearest_bf16(float value)
{
    uint16_t best = 0;
    for (uint32_t bits = 0; bits < 0x7f80; bits++)
        if (fabsf(bf16_widen((uint16_t)bits) - value) < fabsf(bf16_widen(best) - value)) best = (uint16_t)bits;
    return bf16_widen(best);
}

START_TEST(bf16_rounds_to_nearest_even)
{
    float some[10];
    support_fill(some, 10, 5);
    for (int i = 0; i < 10; i++) ck_assert(bf16_widen(bf16_round(fabsf(some[i]))) == nearest_bf16(fabsf(some[i])));
    ck_assert(bf16_widen(bf16_round(1.0f + 0x1p-8f)) == 1.0f);               /* a tie, to the even one below */
    ck_assert(bf16_widen(bf16_round(1.0f + 3 * 0x1p-8f)) == 1.0f + 0x1p-6f); /* a tie, to the even one above */
    for (uint32_t bits = 0; bits <= 0xffff; bits++) {
        float wide = bf16_widen((uint16_t)bits);
        if (!isnan(wide)) ck_assert_uint_eq(bf16_round(wide), bits);
    }
}
END_TEST

START_TEST(bf16_keeps_what_is_no_number)
{
    uint32_t payloads[] = {0x7f800001, 0x7fffffff, 0xffffffff, 0x7fc00000, 0xff800001};
    for (int i = 0; i < 5; i++) {
        float nan;
        memcpy(&nan, payloads + i, sizeof nan);
        ck_assert(isnan(bf16_widen(bf16_round(nan))));
    }
    ck_assert(bf16_widen(bf16_round(INFINITY)) == INFINITY);
    ck_assert(bf16_widen(bf16_round(-INFINITY)) == -INFINITY);
    ck_assert(bf16_widen(bf16_round(3.4028235e38f)) == INFINITY);
    ck_assert(signbit(bf16_widen(bf16_round(-0.0f))));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("sum");
    TCase *tests = tcase_create("sum");
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, tree_has_the_defined_bits);
    tcase_add_test(tests, sum_may_replace_a_source);
    tcase_add_test(tests, bf16_rounds_to_nearest_even);
    tcase_add_test(tests, bf16_keeps_what_is_no_number);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void) { return support_run(make_suite(), NULL); }

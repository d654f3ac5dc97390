#include "vgg11/base/range.h"

#include "support/support.h"

START_TEST(parts_are_contiguous_complete_and_fair)
{
    static const size_t totals[] = {0, 1, 2, 3, 7, 8, 9, 31, 32, 33, 1000, 60000};
    for (size_t t = 0; t < sizeof totals / sizeof *totals; t++)
        for (size_t parts = 1; parts <= 40; parts++) {
            size_t next = 0, previous = totals[t];
            for (size_t i = 0; i < parts; i++) {
                vgg_range part = range_part(totals[t], parts, i);
                size_t excess = part.count - totals[t] / parts;
                if (part.first != next || excess > 1 || part.count > previous)
                    ck_abort_msg("part %zu of %zu of %zu: %zu from %zu", i, parts, totals[t], part.count, part.first);
                previous = part.count;
                next += part.count;
            }
            ck_assert_uint_eq(next, totals[t]);
        }
}
END_TEST

START_TEST(more_parts_than_items_leave_empty_parts)
{
    ck_assert_uint_eq(range_part(3, 8, 2).count, 1);
    ck_assert_uint_eq(range_part(3, 8, 3).count, 0);
    ck_assert_uint_eq(range_part(3, 8, 7).first, 3);
}
END_TEST

/* Against counting one by one. */
START_TEST(intersections_are_what_lies_in_both)
{
    for (size_t i = 0; i < 5 * 5 * 5 * 5; i++) {
        vgg_range a = {i % 5, i / 5 % 5}, b = {i / 25 % 5, i / 125};
        vgg_range both = range_intersection(a, b);
        size_t count = 0, first = 0;
        for (size_t k = 10; k-- > 0;) {
            if (k < a.first || k >= a.first + a.count || k < b.first || k >= b.first + b.count) continue;
            first = k;
            count++;
        }
        ck_assert_uint_eq(both.count, count);
        ck_assert_uint_eq(range_common(a, b), count);
        if (count > 0) ck_assert_uint_eq(both.first, first);
    }
}
END_TEST

START_TEST(integers_divide_up)
{
    ck_assert_uint_eq(size_divide_up(0, 7), 0);
    ck_assert_uint_eq(size_divide_up(14, 7), 2);
    ck_assert_uint_eq(size_divide_up(15, 7), 3);
    ck_assert_int_eq(int_divide_up(1, 7), 1);
    ck_assert_int_eq(int_divide_up(7, 7), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("range");
    TCase *tests = tcase_create("range");
    tcase_add_test(tests, parts_are_contiguous_complete_and_fair);
    tcase_add_test(tests, more_parts_than_items_leave_empty_parts);
    tcase_add_test(tests, intersections_are_what_lies_in_both);
    tcase_add_test(tests, integers_divide_up);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

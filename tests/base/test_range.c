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

int main(void)
{
    Suite *suite = suite_create("range");
    TCase *tests = tcase_create("range");
    tcase_add_test(tests, parts_are_contiguous_complete_and_fair);
    tcase_add_test(tests, more_parts_than_items_leave_empty_parts);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

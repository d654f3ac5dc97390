/* Which exchange is taken, given the times that were measured. */
#include "exchange/exchange_impl.h"
#include "support/support.h"

#include <math.h>

enum { CANDIDATES = 4 };

static const struct {
    double seconds[CANDIDATES];
    size_t order[CANDIDATES];
} cases[] = {
    {{1, 2, 3, 4}, {0, 1, 2, 3}},        {{4, 3, 2, 1}, {3, 2, 1, 0}},
    {{3, 1, INFINITY, 2}, {1, 3, 0, 2}}, {{INFINITY, INFINITY, 5, 4}, {3, 2, 0, 1}},
    {{2, 1, 1, 2}, {1, 2, 0, 3}}, /* of equally fast ones that which the table has first */
};

START_TEST(the_fastest_comes_first_and_what_declined_last)
{
    exchange_row rows[CANDIDATES];
    exchange_candidate candidates[CANDIDATES];
    for (size_t i = 0; i < CANDIDATES; i++) candidates[i] = (exchange_candidate){&rows[i], cases[_i].seconds[i]};
    exchange_sort_by_time(candidates, CANDIDATES);
    for (size_t i = 0; i < CANDIDATES; i++) ck_assert_ptr_eq(candidates[i].row, &rows[cases[_i].order[i]]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exchange choice");
    TCase *tests = tcase_create("exchange choice");
    tcase_add_loop_test(tests, the_fastest_comes_first_and_what_declined_last, 0, sizeof cases / sizeof cases[0]);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

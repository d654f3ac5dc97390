#include "support/support.h"
#include "vgg11/train/schedule.h"

START_TEST(warm_up_is_linear)
{
    const schedule_shape *shape = schedule_find("constant");
    for (uint64_t step = 0; step < 10; step++)
        ck_assert_double_eq_tol(schedule_rate(shape, 0.5, 10, 100, step), 0.5 * (double)(step + 1) / 10, 1e-15);
    ck_assert_double_eq(schedule_rate(shape, 0.5, 10, 100, 10), 0.5);
    ck_assert_double_eq(schedule_rate(shape, 0.5, 10, 100, 99), 0.5);
}
END_TEST

START_TEST(cosine_falls_to_zero)
{
    const schedule_shape *shape = schedule_find("cosine");
    ck_assert_double_eq(schedule_rate(shape, 2, 20, 120, 20), 2);
    ck_assert_double_eq_tol(schedule_rate(shape, 2, 20, 120, 70), 1, 1e-12);
    ck_assert_double_eq_tol(schedule_rate(shape, 2, 20, 120, 120), 0, 1e-12);
    for (uint64_t step = 21; step < 120; step++)
        ck_assert_double_lt(schedule_rate(shape, 2, 20, 120, step), schedule_rate(shape, 2, 20, 120, step - 1));
}
END_TEST

START_TEST(linear_falls_evenly_to_zero)
{
    const schedule_shape *shape = schedule_find("linear");
    for (uint64_t step = 20; step <= 130; step++)
        ck_assert_double_eq_tol(schedule_rate(shape, 2, 20, 120, step), step < 120 ? 2 * (double)(120 - step) / 100 : 0, 1e-12);
}
END_TEST

/* More warm-up than steps, a step past the end, no warm-up: never negative, never above the base. */
START_TEST(edges_stay_in_range)
{
    for (const schedule_shape *shape = schedule_shapes; shape->name; shape++) {
        for (uint64_t warmup = 0; warmup < 8; warmup++) {
            for (uint64_t step = 0; step < 12; step++) {
                double rate = schedule_rate(shape, 1, warmup, 5, step);
                ck_assert_msg(rate >= 0 && rate <= 1, "%s warmup %d step %d: %g", shape->name, (int)warmup, (int)step, rate);
            }
        }
    }
}
END_TEST

START_TEST(a_short_run_warms_up_for_a_tenth)
{
    static const uint64_t lengths[][2] = {{0, 0}, {9, 0}, {47, 4}, {999, 99}, {1000, 100}, {100000, 100}};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        ck_assert_uint_eq(schedule_warmup(SCHEDULE_WARMUP_AUTO, lengths[i][0]), lengths[i][1]);
    ck_assert_uint_eq(schedule_warmup(500, 47), 500);
    ck_assert_uint_eq(schedule_warmup(0, 1000), 0);
}
END_TEST

START_TEST(names_are_found)
{
    for (const schedule_shape *shape = schedule_shapes; shape->name; shape++) ck_assert_ptr_eq(schedule_find(shape->name), shape);
    ck_assert_ptr_null(schedule_find("sawtooth"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule");
    TCase *tests = tcase_create("schedule");
    tcase_add_test(tests, warm_up_is_linear);
    tcase_add_test(tests, cosine_falls_to_zero);
    tcase_add_test(tests, linear_falls_evenly_to_zero);
    tcase_add_test(tests, edges_stay_in_range);
    tcase_add_test(tests, a_short_run_warms_up_for_a_tenth);
    tcase_add_test(tests, names_are_found);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

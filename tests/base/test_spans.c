/* spans.h: what is kept, what is lost, and that without a log nothing happens. */
#include "support/support.h"

#include <string.h>

#include "vgg11/base/spans.h"

START_TEST(spans_are_kept_in_the_order_of_their_ends)
{
    span_log *log;
    ck_assert_int_eq(span_log_open(3, &log), VGG_OK);
    log->step = 7;
    double outer = span_start(log), inner = span_start(log);
    span_end(log, inner, "inner");
    span_end(log, outer, "outer");
    span_add(log, SPAN_MESSAGES + 2, "conv1", "weight gradient", 1, 2, (span_work){3e9, 5e6});
    ck_assert_uint_eq(log->count, 3);
    const span *first = &log->spans[0], *second = &log->spans[1], *third = &log->spans[2];
    ck_assert_str_eq(first->name, "inner");
    ck_assert_str_eq(second->name, "outer");
    ck_assert(second->start_s <= first->start_s && first->start_s <= first->end_s && first->end_s <= second->end_s);
    ck_assert_uint_eq(first->line, SPAN_TRAINING);
    ck_assert_uint_eq(first->step, 7);
    ck_assert_str_eq(third->name, "conv1 weight gradient");
    ck_assert_uint_eq(third->line, SPAN_MESSAGES + 2);
    ck_assert_double_eq(third->work.flops, 3e9);
    ck_assert_double_eq(third->work.bytes, 5e6);
    span_log_close(log);
}
END_TEST

START_TEST(what_finds_no_room_is_counted)
{
    span_log *log;
    ck_assert_int_eq(span_log_open(2, &log), VGG_OK);
    for (int i = 0; i < 5; i++) span_end(log, span_start(log), "a span with a name that is longer than there is room");
    ck_assert_uint_eq(log->count, 2);
    ck_assert_uint_eq(log->lost, 3);
    ck_assert_uint_eq(strlen(log->spans[1].name), SPAN_NAME_MAX - 1);
    span_log_close(log);
}
END_TEST

START_TEST(what_is_short_can_be_left_out)
{
    span_log *log;
    ck_assert_int_eq(span_log_open(2, &log), VGG_OK);
    span_end_if_long(log, span_start(log), "short", 1e6);
    ck_assert_uint_eq(log->count + log->lost, 0);
    span_end_if_long(log, span_start(log), "any", 0);
    ck_assert_uint_eq(log->count, 1);
    span_log_close(log);
}
END_TEST

START_TEST(without_a_log_nothing_happens)
{
    ck_assert_double_eq(span_start(NULL), 0);
    span_end(NULL, 0, "name");
    span_end_if_long(NULL, 0, "name", 0);
    span_add(NULL, SPAN_TRAINING, "name", NULL, 0, 1, (span_work){0});
    span_log_close(NULL);
}
END_TEST

START_TEST(too_many_are_a_status)
{
    span_log *log = NULL;
    ck_assert_int_eq(span_log_open((size_t)1 << 57, &log), VGG_UNAVAILABLE);
    ck_assert_ptr_null(log);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spans");
    TCase *cases = tcase_create("spans");
    tcase_add_test(cases, spans_are_kept_in_the_order_of_their_ends);
    tcase_add_test(cases, what_finds_no_room_is_counted);
    tcase_add_test(cases, what_is_short_can_be_left_out);
    tcase_add_test(cases, without_a_log_nothing_happens);
    tcase_add_test(cases, too_many_are_a_status);
    suite_add_tcase(suite, cases);
    return support_run(suite, NULL);
}

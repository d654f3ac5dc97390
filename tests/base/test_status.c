#include "vgg11/base/status.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"

START_TEST(fail_records_the_line_and_returns_its_status)
{
    ck_assert_int_eq(vgg_fail(VGG_BAD_OPTION, "--lr %d: too large", 7), VGG_BAD_OPTION);
    ck_assert_str_eq(vgg_message(), "--lr 7: too large");
}
END_TEST

START_TEST(fail_errno_adds_the_reason)
{
    errno = ENOENT;
    ck_assert_int_eq(vgg_fail_errno(VGG_IO_ERROR, "cannot open %s", "x"), VGG_IO_ERROR);
    ck_assert_str_eq(vgg_message(), "cannot open x: No such file or directory");
}
END_TEST

/* Whoever asked for what: an option, a file. */
START_TEST(without_memory_nothing_else_is_blamed)
{
    errno = ENOMEM;
    ck_assert_int_eq(vgg_fail_errno(VGG_BAD_DATA, "cannot open %s", "x"), VGG_UNAVAILABLE);
    ck_assert_str_eq(vgg_message(), "cannot open x: Cannot allocate memory");
}
END_TEST

START_TEST(a_message_may_be_built_from_the_one_before)
{
    vgg_fail(VGG_ERROR, "inner");
    vgg_fail(VGG_ERROR, "outer: %s", vgg_message());
    ck_assert_str_eq(vgg_message(), "outer: inner");
}
END_TEST

START_TEST(a_long_message_is_cut)
{
    char text[3 * VGG_MESSAGE_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    vgg_fail(VGG_ERROR, "%s", text);
    ck_assert_uint_eq(strlen(vgg_message()), VGG_MESSAGE_MAX - 1);
    errno = EIO;
    vgg_fail_errno(VGG_ERROR, "%s", text);
    ck_assert_uint_eq(strlen(vgg_message()), VGG_MESSAGE_MAX - 1);
}
END_TEST

START_TEST(a_message_is_one_line_whatever_a_file_is_called)
{
    vgg_fail(VGG_ERROR, "%s: not found", "a\nb\x1b[31m\tc\xc3\xa4");
    ck_assert_str_eq(vgg_message(), "a?b?[31m?c\xc3\xa4: not found");
}
END_TEST

static void *message_in_thread(void *context)
{
    *(size_t *)context = strlen(vgg_message());
    vgg_fail(VGG_ERROR, "of the other thread");
    return NULL;
}

START_TEST(each_thread_has_its_own_message)
{
    pthread_t thread;
    size_t length_at_start = 1;
    vgg_fail(VGG_ERROR, "mine");
    ck_assert_int_eq(pthread_create(&thread, NULL, message_in_thread, &length_at_start), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(length_at_start, 0);
    ck_assert_str_eq(vgg_message(), "mine");
}
END_TEST

START_TEST(codes_have_the_documented_numbers)
{
    static const int expected[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 75, 100};
#define CODE_OF(symbol, code, text) symbol,
    static const vgg_status codes[] = {VGG_STATUS_LIST(CODE_OF)};
    ck_assert_uint_eq(sizeof codes / sizeof *codes, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) ck_assert_int_eq((int)codes[i], expected[i]);
}
END_TEST

static int evaluations;

static vgg_status count_and_return(vgg_status status)
{
    evaluations++;
    return status;
}

static vgg_status try_twice(vgg_status first, vgg_status second)
{
    VGG_TRY(count_and_return(first));
    VGG_TRY(count_and_return(second));
    return VGG_OK;
}

START_TEST(try_returns_the_first_failure_and_evaluates_once)
{
    ck_assert_int_eq(try_twice(VGG_OK, VGG_OK), VGG_OK);
    ck_assert_int_eq(evaluations, 2);
    ck_assert_int_eq(try_twice(VGG_IO_ERROR, VGG_ERROR), VGG_IO_ERROR);
    ck_assert_int_eq(evaluations, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("status");
    TCase *tests = tcase_create("status");
    tcase_add_test(tests, fail_records_the_line_and_returns_its_status);
    tcase_add_test(tests, fail_errno_adds_the_reason);
    tcase_add_test(tests, without_memory_nothing_else_is_blamed);
    tcase_add_test(tests, a_message_may_be_built_from_the_one_before);
    tcase_add_test(tests, a_long_message_is_cut);
    tcase_add_test(tests, a_message_is_one_line_whatever_a_file_is_called);
    tcase_add_test(tests, each_thread_has_its_own_message);
    tcase_add_test(tests, codes_have_the_documented_numbers);
    tcase_add_test(tests, try_returns_the_first_failure_and_evaluates_once);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

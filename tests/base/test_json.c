/* Texts that are parsed while memory runs out: at each allocation, it alone or with all that follow. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "support/support.h"

/* Long tokens, of which the buffer grows several times: a key, a text with escapes, a number, digits of a real one; and many small ones. */
static const char text[] =
    "{\"a key that is longer than the first buffer of a token, which has room for sixteen\": [1, 2.5, true, null, {}, []],"
    " \"text\": \"a tab \\t and an \\u00e9 and sixty more characters, so that the buffer must grow once again, and then once more\","
    " \"number\": 123456789012345678,"
    " \"real\": 0.1234567890123456789012345678901234567890123456789012345678901234567890}";

static struct {
    long at; /* 0: none */
    bool persistent;
    long count;
} failing;

static void *allocate(size_t bytes)
{
    long number = ++failing.count;
    bool fails = failing.at > 0 && (number == failing.at || (failing.persistent && number > failing.at));
    if (fails) errno = ENOMEM;
    return fails ? NULL : malloc(bytes);
}

static json_t *parse_failing(long at, bool persistent)
{
    failing.at = at;
    failing.persistent = persistent;
    failing.count = 0;
    errno = 0;
    json_t *value = json_parse_text(text);
    failing.at = 0;
    return value;
}

START_TEST(each_allocation_may_fail)
{
    long at = 1;
    for (json_t *value = NULL; !value; at++) {
        value = parse_failing(at, _i == 1);
        ck_assert_msg(value || errno == ENOMEM, "allocation %ld: no word of memory", at);
        if (value) ck_assert_int_gt(at, failing.count);
        json_decref(value);
    }
    ck_assert_int_gt(at, 20); /* the walk went through all of it */
}
END_TEST

START_TEST(a_text_is_read)
{
    json_t *value = parse_failing(0, false);
    ck_assert_int_eq(json_integer_value(json_object_get(value, "number")), 123456789012345678);
    ck_assert_uint_eq(strlen(json_string_value(json_object_get(value, "text"))), 104);
    json_decref(value);
}
END_TEST

START_TEST(what_is_wrong_is_told)
{
    json_error_t error;
    errno = 0;
    ck_assert_ptr_null(json_parse("{\"a\": 1,\n\"a\": 2}", 16, JSON_REJECT_DUPLICATES, &error));
    ck_assert_int_eq(error.line, 2);
    ck_assert_int_ne(errno, ENOMEM);
}
END_TEST

/* By errno callers tell memory that ran out from a text that is wrong, or that there is none. (jansson sets it where it reads numbers.) */
START_TEST(errno_is_left_alone)
{
    static const struct {
        const char *text;
        bool right;
    } cases[] = {{"{\"a\": \"b\"}", true}, {"", false}, {"{", false}, {"[\"a\", }", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        errno = 0;
        json_t *value = json_parse_text(cases[i].text);
        ck_assert_int_eq(errno, 0);
        ck_assert(!value == !cases[i].right);
        json_decref(value);
    }
}
END_TEST

START_TEST(a_list_is_whole_or_not_there)
{
    json_t *list = json_array();
    json_list_add(&list, json_integer(1));
    ck_assert_uint_eq(json_array_size(list), 1);
    json_list_add(&list, NULL);
    ck_assert_ptr_null(list);
    json_list_add(&list, json_integer(2));
    ck_assert_ptr_null(list);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("JSON");
    TCase *tests = tcase_create("JSON");
    json_set_alloc_funcs(allocate, free);
    tcase_add_loop_test(tests, each_allocation_may_fail, 0, 2);
    tcase_add_test(tests, a_text_is_read);
    tcase_add_test(tests, what_is_wrong_is_told);
    tcase_add_test(tests, errno_is_left_alone);
    tcase_add_test(tests, a_list_is_whole_or_not_there);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

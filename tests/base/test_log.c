#include "vgg11/base/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/support.h"

/* Standard error while a test logs: a pipe, so that each write(2) of a line can be counted. */
static int kept_stderr, pipe_ends[2];

static void redirect(void)
{
    vgg_log_configure(VGG_LOG_INFO, 1);
    vgg_log_before(NULL);
    ck_assert_int_eq(pipe2(pipe_ends, 0), 0);
    kept_stderr = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(pipe_ends[1], STDERR_FILENO), 0);
}

/* Ends the redirection; what was written, in `text`. */
static void restore(char *text, size_t text_bytes)
{
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    close(pipe_ends[1]);
    size_t used = 0;
    for (ssize_t got; (got = read(pipe_ends[0], text + used, text_bytes - 1 - used)) > 0;) used += (size_t)got;
    text[used] = '\0';
    close(pipe_ends[0]);
}

START_TEST(levels_have_their_prefix_and_threshold)
{
    char text[4096];
    redirect();
    vgg_log(VGG_LOG_ERROR, "e %d", 1);
    vgg_log(VGG_LOG_WARNING, "w");
    vgg_log(VGG_LOG_INFO, "i");
    vgg_log(VGG_LOG_DEBUG, "d");
    vgg_log_configure(VGG_LOG_DEBUG, 1);
    vgg_log(VGG_LOG_DEBUG, "d");
    vgg_log_configure(VGG_LOG_ERROR, 1);
    vgg_log(VGG_LOG_WARNING, "w");
    restore(text, sizeof text);
    ck_assert_str_eq(text, "vgg11_dist: e 1\nvgg11_dist: warning: w\ni\nd\n");
}
END_TEST

START_TEST(a_silent_rank_writes_nothing)
{
    char text[4096];
    redirect();
    vgg_log_configure(VGG_LOG_DEBUG, 0);
    vgg_log(VGG_LOG_ERROR, "e");
    restore(text, sizeof text);
    ck_assert_str_eq(text, "");
}
END_TEST

static void clear_bar(void) { ck_assert_int_eq(write(STDERR_FILENO, "<clear>", 7), 7); }

START_TEST(the_hook_runs_before_a_line_that_is_written)
{
    char text[4096];
    redirect();
    vgg_log_before(clear_bar);
    vgg_log(VGG_LOG_DEBUG, "dropped");
    vgg_log(VGG_LOG_INFO, "shown");
    restore(text, sizeof text);
    ck_assert_str_eq(text, "<clear>shown\n");
}
END_TEST

START_TEST(a_long_line_is_cut_and_still_ends)
{
    char text[8192], line[4096];
    memset(line, 'y', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    redirect();
    vgg_log(VGG_LOG_WARNING, "%s", line);
    restore(text, sizeof text);
    ck_assert_uint_eq(strlen(text), 2048 - 1);
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tests = tcase_create("log");
    tcase_add_test(tests, levels_have_their_prefix_and_threshold);
    tcase_add_test(tests, a_silent_rank_writes_nothing);
    tcase_add_test(tests, the_hook_runs_before_a_line_that_is_written);
    tcase_add_test(tests, a_long_line_is_cut_and_still_ends);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

/* Signals that ask for an end, in processes of their own: what comes when, and what ends them. */
#include "vgg11/train/stop_signal.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/support.h"

/* The time as the code under test sees it. */
static long seconds = 100;

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    *now = (struct timespec){.tv_sec = seconds};
    return 0;
}

static const int asking[] = {SIGTERM, SIGINT, SIGHUP};
enum { ASKING = sizeof asking / sizeof asking[0], SEEN = 3, UNSEEN = 4 };

/* The status of a process that does this and, if it still can, ends with what that returns. libcheck has handlers of its own. */
static int status_of(int (*act)(int number), int number)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < ASKING; i++) signal(asking[i], SIG_DFL);
        _exit(act(number));
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

static int look(int number) { return stop_signal_seen() == number ? SEEN : UNSEEN; }

static int get_one(int number)
{
    stop_signal_watch();
    raise(number);
    return look(number);
}

static int get_two_at_once(int number)
{
    stop_signal_watch();
    raise(number);
    raise(number);
    return look(number);
}

static int get_another_later(int number)
{
    stop_signal_watch();
    raise(SIGTERM);
    seconds += 2;
    raise(number);
    return look(SIGTERM);
}

/* It is no second one that asks for the end, and no first. */
static int get_many_of_the_other(int number)
{
    stop_signal_watch();
    for (int i = 0; i < 3; i++) {
        raise(SIGUSR1);
        seconds += 2;
    }
    raise(number);
    raise(SIGUSR1);
    return look(SIGUSR1);
}

static int get_after_the_watch(int number)
{
    stop_signal_watch();
    stop_signal_unwatch();
    raise(number);
    return look(0);
}

static int get_ignored(int number)
{
    signal(number, SIG_IGN);
    stop_signal_watch();
    raise(number);
    return look(0);
}

static int get_held_then_watched(int number)
{
    stop_signal_hold();
    raise(number);
    if (look(0) != SEEN) return UNSEEN;
    stop_signal_watch();
    return look(number);
}

static int get_held_then_released(int number)
{
    stop_signal_hold();
    raise(number);
    if (look(0) != SEEN) return UNSEEN;
    stop_signal_release();
    return UNSEEN;
}

static void expect_end(int (*act)(int number), int number, int expected)
{
    int status = status_of(act, number);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == expected, "%s: wait status %x", stop_signal_name(number), status);
}

static void expect_death(int (*act)(int number), int number)
{
    int status = status_of(act, number);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == number, "%s: wait status %x", stop_signal_name(number), status);
}

START_TEST(the_first_is_noted)
{
    for (int i = 0; i < ASKING; i++) expect_end(get_one, asking[i], SEEN);
    expect_end(get_one, SIGUSR1, SEEN);
}
END_TEST

START_TEST(two_at_once_are_one)
{
    for (int i = 0; i < ASKING; i++) expect_end(get_two_at_once, asking[i], SEEN);
}
END_TEST

START_TEST(a_later_one_ends_the_process)
{
    for (int i = 0; i < ASKING; i++) expect_death(get_another_later, asking[i]);
    expect_end(get_another_later, SIGUSR1, SEEN);
}
END_TEST

START_TEST(user_signals_never_end_it)
{
    for (int i = 0; i < ASKING; i++) expect_end(get_many_of_the_other, asking[i], SEEN);
}
END_TEST

START_TEST(all_is_as_before_afterwards)
{
    for (int i = 0; i < ASKING; i++) expect_death(get_after_the_watch, asking[i]);
    expect_death(get_after_the_watch, SIGUSR1);
}
END_TEST

START_TEST(what_was_ignored_stays_so)
{
    for (int i = 0; i < ASKING; i++) expect_end(get_ignored, asking[i], SEEN);
}
END_TEST

START_TEST(what_comes_before_waits)
{
    for (int i = 0; i < ASKING; i++) {
        expect_end(get_held_then_watched, asking[i], SEEN);
        expect_death(get_held_then_released, asking[i]);
    }
}
END_TEST

START_TEST(each_has_its_name)
{
    ck_assert_str_eq(stop_signal_name(SIGUSR1), "SIGUSR1");
    ck_assert_str_eq(stop_signal_name(SIGTERM), "SIGTERM");
    ck_assert_str_eq(stop_signal_name(SIGINT), "SIGINT");
    ck_assert_str_eq(stop_signal_name(SIGHUP), "SIGHUP");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("stop signal");
    TCase *tests = tcase_create("stop signal");
    tcase_add_test(tests, the_first_is_noted);
    tcase_add_test(tests, two_at_once_are_one);
    tcase_add_test(tests, a_later_one_ends_the_process);
    tcase_add_test(tests, user_signals_never_end_it);
    tcase_add_test(tests, all_is_as_before_afterwards);
    tcase_add_test(tests, what_was_ignored_stays_so);
    tcase_add_test(tests, what_comes_before_waits);
    tcase_add_test(tests, each_has_its_name);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void) { return support_run(make_suite(), NULL); }

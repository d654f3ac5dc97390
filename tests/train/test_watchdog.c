/* The watchdog of one process: what it ends, what it says, and what it leaves alone. Each in a process of its own. */
#include "vgg11/train/watchdog.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/support.h"
#include "vgg11/base/clock.h"

enum { TIMEOUT_S = 1, STAYED = 3 };

/* What a process said and how it ended. */
typedef struct {
    int status;
    char text[1024];
} outcome;

typedef struct {
    int in;  /* of the child, held open here: it reads nothing until it is told to go on */
    int out; /* its standard error */
    pid_t child;
} process;

/* Without a launcher, whoever runs this test. */
static process start(int (*act)(void))
{
    int in[2], out[2];
    ck_assert_int_eq(pipe(in), 0);
    ck_assert_int_eq(pipe(out), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDERR_FILENO);
        close(in[1]);
        close(out[0]);
        close(out[1]);
        _exit(act());
    }
    close(in[0]);
    close(out[1]);
    return (process){in[1], out[0], child};
}

static void wait_until_told(void)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
}

static void tell(process *p)
{
    close(p->in);
    p->in = -1;
}

static outcome finish(process *p, pid_t last)
{
    outcome o = {0};
    size_t used = 0;
    ssize_t got;
    while (used < sizeof o.text - 1 && (got = read(p->out, o.text + used, sizeof o.text - 1 - used)) > 0) used += (size_t)got;
    ck_assert_int_eq(waitpid(last, &o.status, 0), last);
    close(p->out);
    if (p->in >= 0) close(p->in);
    return o;
}

static bool ended_with(outcome o, int status) { return WIFEXITED(o.status) && WEXITSTATUS(o.status) == status; }

static int stay_in_a_step(void)
{
    watchdog_start(TIMEOUT_S);
    watchdog_step(12);
    watchdog_enter(WATCHDOG_EXCHANGE);
    wait_until_told();
    return STAYED;
}

START_TEST(a_process_that_stays_where_it_is_is_ended)
{
    char host[128] = "", expected[512];
    gethostname(host, sizeof host - 1);
    snprintf(expected, sizeof expected,
             "vgg11_dist: no progress for 1 s (--hang-timeout): rank 0 on %s is in the exchange of gradients of step 12\n", host);
    process p = start(stay_in_a_step);
    outcome o = finish(&p, p.child);
    ck_assert_msg(ended_with(o, VGG_HUNG), "wait status %x: %s", o.status, o.text);
    ck_assert_str_eq(o.text, expected);
}
END_TEST

static int stay_without_a_limit(void)
{
    watchdog_start(0);
    wait_until_told();
    watchdog_stop();
    return STAYED;
}

/* Until the time is surely over. */
static void let_time_pass(double seconds)
{
    double start = clock_now_s();
    while (clock_now_s() - start < seconds) poll(NULL, 0, 100);
}

START_TEST(without_a_limit_nothing_ends)
{
    process p = start(stay_without_a_limit);
    let_time_pass(3 * TIMEOUT_S);
    tell(&p);
    outcome o = finish(&p, p.child);
    ck_assert_msg(ended_with(o, STAYED) && !*o.text, "wait status %x: %s", o.status, o.text);
}
END_TEST

static int move_for_long(void)
{
    watchdog_start(TIMEOUT_S);
    double start = clock_now_s();
    while (clock_now_s() - start < 3 * TIMEOUT_S + 1) {
        poll(NULL, 0, 10);
        watchdog_move();
    }
    watchdog_stop();
    return STAYED;
}

START_TEST(a_process_that_moves_is_left_alone)
{
    process p = start(move_for_long);
    outcome o = finish(&p, p.child);
    ck_assert_msg(ended_with(o, STAYED) && !*o.text, "wait status %x: %s", o.status, o.text);
}
END_TEST

static int stay_for_long(void)
{
    watchdog_start(4 * TIMEOUT_S);
    wait_until_told();
    watchdog_stop();
    return STAYED;
}

/* As Ctrl-Z does. Afterwards the watchdog has time to look. */
START_TEST(time_in_which_it_is_stopped_does_not_count)
{
    int status;
    process p = start(stay_for_long);
    let_time_pass(TIMEOUT_S);
    ck_assert_int_eq(kill(p.child, SIGSTOP), 0);
    ck_assert_int_eq(waitpid(p.child, &status, WUNTRACED), p.child);
    let_time_pass(6 * TIMEOUT_S);
    ck_assert_int_eq(kill(p.child, SIGCONT), 0);
    let_time_pass(TIMEOUT_S);
    tell(&p);
    outcome o = finish(&p, p.child);
    ck_assert_msg(ended_with(o, STAYED) && !*o.text, "wait status %x: %s", o.status, o.text);
}
END_TEST

/* A launcher that starts a rank, says which process that is, and waits to be killed. */
static int (*rank_of_launcher)(void);

static int launch(void)
{
    pid_t rank = fork();
    if (rank == 0) return rank_of_launcher();
    dprintf(STDERR_FILENO, "%d\n", (int)rank);
    for (;;) pause();
}

static int be_a_rank(void)
{
    setenv("OMPI_COMM_WORLD_RANK", "3", 1);
    watchdog_start(0);
    dprintf(STDERR_FILENO, "ready\n");
    wait_until_told();
    return STAYED;
}

static int be_a_process_of_a_shell(void)
{
    watchdog_start(1000);
    dprintf(STDERR_FILENO, "ready\n");
    wait_until_told();
    return STAYED;
}

/* Reads two lines: the rank's number as a process, and that it is ready, in any order. */
static pid_t read_rank(int out)
{
    char text[64] = "", *number = text;
    size_t used = 0;
    for (int lines = 0; lines < 2 && used < sizeof text - 1; used++) {
        ck_assert_int_eq(read(out, text + used, 1), 1);
        lines += text[used] == '\n';
    }
    if (strncmp(text, "ready\n", 6) == 0) number += 6;
    return (pid_t)strtol(number, NULL, 10);
}

/* Kills the launcher of a process that does this, which becomes this test's own child. */
static pid_t lose_launcher(process *p, int (*act)(void))
{
    int status;
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    rank_of_launcher = act;
    *p = start(launch);
    pid_t rank = read_rank(p->out);
    ck_assert_int_eq(kill(p->child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(p->child, &status, 0), p->child);
    return rank;
}

START_TEST(a_rank_ends_after_its_launcher)
{
    process p;
    char expected[256];
    pid_t rank = lose_launcher(&p, be_a_rank);
    snprintf(expected, sizeof expected, "vgg11_dist: rank 3, in the start: its launcher, process %d, is gone\n", (int)p.child);
    outcome o = finish(&p, rank);
    ck_assert_msg(ended_with(o, VGG_HUNG), "wait status %x: %s", o.status, o.text);
    ck_assert_str_eq(o.text, expected);
}
END_TEST

START_TEST(a_process_without_a_launcher_outlives_its_shell)
{
    process p;
    pid_t rank = lose_launcher(&p, be_a_process_of_a_shell);
    let_time_pass(2);
    tell(&p);
    outcome o = finish(&p, rank);
    ck_assert_msg(ended_with(o, STAYED) && !*o.text, "wait status %x: %s", o.status, o.text);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("watchdog");
    TCase *tests = tcase_create("watchdog");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, a_process_that_stays_where_it_is_is_ended);
    tcase_add_test(tests, without_a_limit_nothing_ends);
    tcase_add_test(tests, a_process_that_moves_is_left_alone);
    tcase_add_test(tests, time_in_which_it_is_stopped_does_not_count);
    tcase_add_test(tests, a_rank_ends_after_its_launcher);
    tcase_add_test(tests, a_process_without_a_launcher_outlives_its_shell);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void) { return support_run(make_suite(), NULL); }

/* A program whose rank 1 ends badly, in the way that it is told, while the others wait for it: for test_jobs.py. */
#include "support/ranks.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *way;

static void end_badly(void)
{
    if (strcmp(way, "check") == 0) ck_assert_msg(false, "a check that fails on one rank");
    if (strcmp(way, "collective-check") == 0) ranks_assert(false, "a check of all ranks");
    if (strcmp(way, "crash") == 0) raise(SIGSEGV);
    if (strcmp(way, "exit") == 0) exit(EXIT_SUCCESS);
    if (strcmp(way, "_exit") == 0) _exit(EXIT_SUCCESS);
}

START_TEST(one_rank_ends)
{
    if (comm_rank(ranks) == 1) end_badly();
    comm_barrier(ranks);
}
END_TEST

static void wait_for_all(void) { comm_barrier(ranks); }

static Suite *make_suite(void)
{
    Suite *suite = suite_create("ended rank");
    TCase *tests = tcase_create("ended rank");
    tcase_set_timeout(tests, 0);
    tcase_add_checked_fixture(tests, NULL, wait_for_all);
    tcase_add_test(tests, one_rank_ends);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv)
{
    way = argc > 1 ? argv[1] : "well";
    return ranks_main(argc, argv, make_suite);
}

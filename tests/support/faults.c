/* Faults planted for the sanitizers, on the last rank: for test_sanitizers.py, which expects each to be reported. */
#include "support/ranks.h"

#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vgg11/base/thread.h"

static const char *fault;

/* Where a pointer lies in which nothing looks any more; volatile, or the compiler sees through it all. */
static void *volatile kept;

static void leak(void)
{
    kept = malloc(1234);
    kept = NULL;
}

static void leak_in_parallel(void)
{
#pragma omp parallel num_threads(2)
    if (omp_get_thread_num() == 1) leak();
}

static void overflow(void)
{
    kept = malloc(10);
    volatile char *bytes = kept;
    bytes[10] = 1;
    free(kept);
}

static void shift(void)
{
    volatile int bits = 32;
    ck_assert_int_ne(1 << bits, 12345);
}

static int raced;

static void *race_once(void *context)
{
    (void)context;
    raced++;
    return NULL;
}

static void race(void)
{
    pthread_t thread;
    ck_assert_int_eq(thread_create(&thread, race_once, NULL), 0);
    raced++;
    pthread_join(thread, NULL);
}

static void race_in_parallel(void)
{
#pragma omp parallel num_threads(2)
    raced++;
}

/* No fault: what a parallel loop wrote is read by other threads after it. */
static void share(void)
{
    int squares[64], sum = 0;
#pragma omp parallel for schedule(static) num_threads(2)
    for (int i = 0; i < 64; i++) squares[i] = i * i;
#pragma omp parallel for schedule(dynamic) num_threads(2) reduction(+ : sum)
    for (int i = 0; i < 64; i++) sum += squares[63 - i];
    ck_assert_int_eq(sum, 85344);
}

static const struct {
    const char *name;
    void (*commit)(void);
} faults[] = {{"leak", leak},   {"leak-in-parallel", leak_in_parallel}, {"overflow", overflow}, {"shift", shift}, {"race", race},
              {"share", share}, {"race-in-parallel", race_in_parallel}};

START_TEST(the_last_rank_commits_it)
{
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        if (comm_rank(ranks) == comm_size(ranks) - 1 && strcmp(faults[i].name, fault) == 0) faults[i].commit();
    comm_barrier(ranks);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("faults");
    TCase *tests = tcase_create("faults");
    tcase_add_test(tests, the_last_rank_commits_it);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv)
{
    fault = argc > 1 ? argv[1] : "none";
    return ranks_main(argc, argv, make_suite);
}

/* What tests share: running a suite, comparing arrays, a temporary folder. */
#ifndef VGG11_TESTS_SUPPORT_H
#define VGG11_TESTS_SUPPORT_H

#include <check.h>
#include <stddef.h>

/* A program that is one rank of several. */
typedef struct {
    int rank;
    void (*end_all)(void); /* ends all ranks at once, with a failure; does not return */
} support_ranks;

/* Runs the suite and returns the exit status of the program. Tests are not forked: OpenMP's and MPI's threads do not
 * survive a fork. `ranks` is NULL for a program on its own. Otherwise the first check that fails on any rank ends them all,
 * before tear-downs: the others may wait for this rank in a collective call. So does exit() while the suite runs.
 * Runs nothing, says so and returns what CTest shows as skipped, if VGG11_CPU names a level that this processor lacks. */
int support_run(Suite *suite, const support_ranks *ranks);

/* Fails the test, naming the worst index, unless |actual - expected| <= tolerance * max|expected| for all i. */
void support_assert_close(const float *actual, const float *expected, size_t count, double tolerance, const char *what);

/* Largest |actual - expected| divided by the largest |expected|; Inf if any is not finite. */
double support_relative_error(const float *actual, const float *expected, size_t count);

/* Makes a fresh folder; the caller removes it with support_remove_folder() and frees the name. */
char *support_make_folder(void);
void support_remove_folder(const char *folder);

/* Files and folders in the folder. */
int support_count_entries(const char *folder);

/* A fixture around each test that wants a folder of its own. */
extern char *support_folder;
void support_open_folder(void);
void support_close_folder(void);

/* values[i] in [-1, 1), the same for the same seed. */
void support_fill(float *values, size_t count, unsigned seed);

#endif

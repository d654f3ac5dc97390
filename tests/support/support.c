#include "support/support.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int support_run(Suite *suite, int (*ranks_agree)(int failures))
{
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (ranks_agree) failures = ranks_agree(failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

double support_relative_error(const float *actual, const float *expected, size_t count)
{
    double largest = 0, worst = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(actual[i]) || !isfinite(expected[i])) return INFINITY;
        largest = fmax(largest, fabs((double)expected[i]));
        worst = fmax(worst, fabs((double)actual[i] - expected[i]));
    }
    return largest > 0 ? worst / largest : worst;
}

void support_assert_close(const float *actual, const float *expected, size_t count, double tolerance, const char *what)
{
    double largest = 0, worst = -1;
    size_t where = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)actual[i] - expected[i]);
        largest = fmax(largest, fabs((double)expected[i]));
        if (!(difference <= worst)) {
            worst = difference;
            where = i;
        }
        if (isnan(difference)) break;
    }
    ck_assert_msg(worst <= tolerance * largest, "%s: [%zu] is %.9g, expected %.9g (largest %.3g, tolerance %.3g)", what, where,
                  actual[where], expected[where], largest, tolerance);
}

char *support_make_folder(void)
{
    char *folder = strdup("/tmp/vgg11-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    return folder;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

void support_remove_folder(const char *folder) { nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS); }

char *support_folder;

void support_open_folder(void) { support_folder = support_make_folder(); }

void support_close_folder(void)
{
    support_remove_folder(support_folder);
    free(support_folder);
    support_folder = NULL;
}

void support_fill(float *values, size_t count, unsigned seed)
{
    unsigned long long state = seed * 0x9E3779B97F4A7C15ull + 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        values[i] = (float)(state >> 40) / (float)(1 << 23) - 1.0f;
    }
}

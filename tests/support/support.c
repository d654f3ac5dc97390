#include "support/support.h"

#include <dirent.h>
#include <ftw.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* While a suite runs on one rank of several. */
static const support_ranks *running;

/* Every failed check of libcheck ends in this function, which the linker replaces (see CMakeLists.txt): libcheck itself
 * only jumps to the end of the test, where tear-downs run and no other rank knows. */
_Noreturn void __real__ck_assert_failed(const char *file, int line, const char *expression, const char *format, ...);
_Noreturn void __wrap__ck_assert_failed(const char *file, int line, const char *expression, const char *format, ...);

_Noreturn void __wrap__ck_assert_failed(const char *file, int line, const char *expression, const char *format, ...)
{
    char message[4096];
    va_list arguments;
    va_start(arguments, format);
    if (format) vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const char *text = format ? message : expression;
    if (running) {
        fprintf(stderr, "rank %d: %s:%d: %s: %s\n", running->rank, file, line, tcase_name(), text);
        running->end_all();
    }
    __real__ck_assert_failed(file, line, expression, "%s", text);
}

static void end_all_on_exit(void)
{
    if (!running) return;
    fprintf(stderr, "rank %d: exit() in %s, before its tests had ended\n", running->rank, tcase_name());
    running->end_all();
}

#include "vgg11/base/cpu.h"

/* What CTest is told to call skipped, in vgg_add_cpu_tests(). */
enum { EXIT_SKIPPED = 77 };

/* Whether VGG11_CPU asks for more than this processor has: what runs then is a lower level's test once more. */
static bool lacks_level(const char *asked)
{
    if (!asked) return false; /* before the processor is looked at, which a test may want to do itself */
    const cpu_features *cpu = cpu_detect();
    const struct {
        const char *level;
        bool here;
    } levels[] = {{"avx2", cpu->avx2}, {"avx512", cpu->avx512}, {"avx512_bf16", cpu->avx512_bf16}, {"amx_bf16", cpu->amx_bf16}};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strcmp(asked, levels[i].level) == 0) return !levels[i].here;
    return false;
}

int support_run(Suite *suite, const support_ranks *ranks)
{
    const char *asked = getenv("VGG11_CPU");
    if (!ranks && lacks_level(asked)) { /* a rank that went would leave the others waiting */
        printf("skipped: this processor has not what VGG11_CPU=%s is to test\n", asked);
        return EXIT_SKIPPED;
    }
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    running = ranks;
    if (ranks) atexit(end_all_on_exit);
    srunner_run_all(runner, CK_NORMAL);
    running = NULL;
    int failures = srunner_ntests_failed(runner);
    srunner_free(runner);
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
    const char *parent = getenv("TMPDIR");
    char *folder;
    ck_assert_int_gt(asprintf(&folder, "%s/vgg11-test-XXXXXX", parent ? parent : "/tmp"), 0);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    return folder;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

void support_remove_folder(const char *folder) { nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS); }

int support_count_entries(const char *folder)
{
    int count = -2; /* less "." and ".." */
    DIR *stream = opendir(folder);
    ck_assert_ptr_nonnull(stream);
    while (readdir(stream)) count++;
    closedir(stream);
    return count;
}

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

/* What charts and plots are made of: ticks, and the script that gnuplot gets. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report/axis.h"
#include "report/plots.h"
#include "support/support.h"

enum { PATH_BYTES = 512, TEXT_BYTES = 1 << 16 };

/* Pairs of the least and the greatest value. */
static const double ranges[][2] = {{0, 1},        {0, 3},       {0, 1876},      {0, 1e5},   {0.1, 0.97}, {98.2, 99.6}, {1e-7, 1e-6},
                                   {0, 0.05},     {3e-9, 4},    {0.01, 6},      {2, 2},     {0, 0},      {-3, 5},      {-7, -7},
                                   {1e-30, 1e30}, {0, 1e30},    {1e29, 1e30},   {0.9, 1.1}, {17, 18},    {1000, 1001}, {12345, 1e7},
                                   {1e-5, 2e-5},  {0, 3.3e-12}, {1e-12, 3e-11}, {31, 4100}, {0.02, 1e6}};
enum { RANGES = sizeof ranges / sizeof ranges[0], MANNERS = 4, WANTED = 5 };

static bool is_round(double tick)
{
    if (tick == 0) return true;
    double mantissa = fabs(tick) / pow(10, floor(log10(fabs(tick)) + 1e-9));
    return fabs(mantissa * 10000 - rint(mantissa * 10000)) < 1e-3;
}

/* Each range on a linear axis and a logarithmic one, with and without ends that are ticks. */
START_TEST(ticks_are_few_round_and_told_apart)
{
    double low = ranges[_i / MANNERS][0], high = ranges[_i / MANNERS][1];
    axis a;
    char before[TEXT_NUMBER_BYTES] = "", label[TEXT_NUMBER_BYTES];
    axis_fit(&a, low, high, _i & 1, _i & 2, WANTED);
    double rounding = 1e-8 * (a.high - a.low);
    ck_assert(a.low < a.high && a.low <= low + rounding && a.high >= high - rounding);
    ck_assert_int_ge(a.count, 2);
    ck_assert_int_le(a.count, AXIS_TICKS_MAX);
    for (int i = 0; i < a.count; i++) {
        double place = axis_place(&a, a.ticks[i]);
        ck_assert_msg(is_round(a.ticks[i]), "%.17g", a.ticks[i]);
        ck_assert(i == 0 || a.ticks[i] > a.ticks[i - 1]);
        ck_assert(place >= 0 && place <= 1 && (i == 0 || place > axis_place(&a, a.ticks[i - 1])));
        ck_assert_str_ne(axis_label(&a, a.ticks[i], label), before);
        strcpy(before, label);
    }
    ck_assert(axis_place(&a, -1e300) == 0 && axis_place(&a, 1e300) == 1);
}
END_TEST

START_TEST(labels_have_the_decimals_that_they_need)
{
    static const struct {
        double high;
        const char *labels[3];
    } cases[] = {
        {0.05, {"0", "0.01", "0.02"}}, {5000, {"0", "1,000", "2,000"}}, {2.5, {"0", "0.5", "1.0"}}, {100, {"0", "20", "40"}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        axis a;
        char label[TEXT_NUMBER_BYTES];
        axis_fit(&a, 0, cases[i].high, false, true, WANTED);
        for (int k = 0; k < 3; k++) ck_assert_str_eq(axis_label(&a, a.ticks[k], label), cases[i].labels[k]);
    }
}
END_TEST

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(chmod(path, mode), 0);
}

static const char metrics[] = "{\"event\":\"step\",\"step\":1,\"loss\":2,\"accuracy\":0.5,\"lr\":0.1,\"images_per_second\":9}\n"
                              "{\"event\":\"eval\",\"step\":1,\"test_loss\":2,\"test_accuracy\":0.5}\n";

/* A run folder of that name, with metrics. */
static void make_run(const char *name, char run[PATH_BYTES])
{
    char path[PATH_BYTES + 32];
    snprintf(run, PATH_BYTES, "%s/%s", support_folder, name);
    ck_assert_int_eq(mkdir(run, 0700), 0);
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    write_file(path, metrics, 0600);
}

/* Draws with programs of one folder more, or, without `also`, of that folder alone; what was said, for free(). */
static char *draw(const char *run, const char *programs, bool also)
{
    char path[8192], *usual = strdup(getenv("PATH")), *text = calloc(1, TEXT_BYTES), said[PATH_BYTES];
    snprintf(path, sizeof path, also ? "%s:%s" : "%s", programs, usual);
    snprintf(said, sizeof said, "%s/said", support_folder);
    int saved = dup(STDERR_FILENO), file = open(said, O_RDWR | O_CREAT | O_TRUNC, 0600);
    setenv("PATH", path, 1);
    dup2(file, STDERR_FILENO);
    plots_draw(run);
    dup2(saved, STDERR_FILENO);
    setenv("PATH", usual, 1);
    ck_assert_int_ge(pread(file, text, TEXT_BYTES - 1, 0), 0);
    close(saved);
    close(file);
    free(usual);
    return text;
}

/* What gnuplot was to draw from. */
static void read_script(const char *run, char script[TEXT_BYTES])
{
    char path[PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s/plots/loss.svg", run);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    script[fread(script, 1, TEXT_BYTES - 1, file)] = '\0';
    fclose(file);
}

static const struct {
    const char *name, *title;
} names[] = {{"2026-11-23T13-02-00Z", "2026-11-23T13-02-00Z"},
             {"it's\n\ttouch x", "it?s??touch x"},
             {"caf\xc3\xa9 `x` $y", "caf\xc3\xa9 `x` $y"},
             {"\xff\x7f", "??"}};

START_TEST(a_plot_is_titled_with_the_run_and_its_key_lies_below)
{
    char run[PATH_BYTES], program[PATH_BYTES], expected[PATH_BYTES];
    static char script[TEXT_BYTES];
    make_run(names[_i].name, run);
    snprintf(program, sizeof program, "%s/gnuplot", support_folder);
    write_file(program, "#!/bin/sh\nexec cat >loss.svg\n", 0700);
    char *said = draw(run, support_folder, true);
    ck_assert_str_eq(said, "");
    free(said);
    read_script(run, script);
    snprintf(expected, sizeof expected, "\nset title '%s' noenhanced\n", names[_i].title);
    ck_assert_msg(strstr(script, expected) != NULL, "%s", script);
    ck_assert_ptr_nonnull(strstr(script, "\nset key below\n"));
}
END_TEST

/* As where it is not installed: timeout(1) is there, gnuplot is not. */
START_TEST(without_gnuplot_one_line_says_so)
{
    char run[PATH_BYTES], programs[PATH_BYTES], link[PATH_BYTES + 16], plots[PATH_BYTES + 16];
    make_run("run", run);
    snprintf(programs, sizeof programs, "%s/programs", support_folder);
    snprintf(link, sizeof link, "%s/timeout", programs);
    snprintf(plots, sizeof plots, "%s/plots", run);
    ck_assert_int_eq(mkdir(programs, 0700), 0);
    ck_assert_int_eq(symlink("/usr/bin/timeout", link), 0);
    char *said = draw(run, programs, false), *end = strchr(said, '\n');
    ck_assert_ptr_nonnull(strstr(said, "plots: no pictures: gnuplot is not installed"));
    ck_assert_ptr_eq(strstr(said, "warning"), NULL);
    ck_assert(end && end[1] == '\0');
    ck_assert_int_ne(access(plots, F_OK), 0);
    free(said);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("charts");
    TCase *cases = tcase_create("charts");
    tcase_add_checked_fixture(cases, support_open_folder, support_close_folder);
    tcase_add_loop_test(cases, ticks_are_few_round_and_told_apart, 0, RANGES * MANNERS);
    tcase_add_test(cases, labels_have_the_decimals_that_they_need);
    tcase_add_loop_test(cases, a_plot_is_titled_with_the_run_and_its_key_lies_below, 0, sizeof names / sizeof names[0]);
    tcase_add_test(cases, without_gnuplot_one_line_says_so);
    suite_add_tcase(suite, cases);
    return support_run(suite, NULL);
}

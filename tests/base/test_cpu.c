#include "vgg11/base/cpu.h"

#include <math.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "support/support.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/log.h"

/* How many features are on, as each implies the one before on all processors there are. */
static int level_of(const cpu_features *features)
{
    return features->sse42 + features->avx2 + features->avx512 + features->avx512_bf16 + features->amx_bf16;
}

/* level_of() in a process of its own, since detection is cached. */
static int level_under(const char *asked)
{
    pid_t child = fork();
    if (child == 0) {
        vgg_log_configure(VGG_LOG_ERROR, 0);
        if (asked)
            setenv("VGG11_CPU", asked, 1);
        else
            unsetenv("VGG11_CPU");
        _exit(level_of(cpu_detect()));
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(the_environment_lowers_the_level_and_never_raises_it)
{
    static const char *const names[] = {"portable", "avx2", "avx512", "avx512_bf16", "amx_bf16"};
    static const int most[] = {0, 2, 3, 4, 5};
    int all = level_under(NULL), previous = 0;
    for (int i = 0; i < 5; i++) {
        int level = level_under(names[i]);
        ck_assert_int_le(level, all < most[i] ? all : most[i]);
        ck_assert_int_ge(level, previous);
        previous = level;
    }
    ck_assert_int_eq(level_under("portable"), 0);
    ck_assert_int_eq(level_under("amx_bf16"), all);
    ck_assert_int_eq(level_under("no such level"), all);
    ck_assert_int_eq(level_under(""), all);
}
END_TEST

START_TEST(features_agree_with_the_kernel)
{
    char line[16384];
    FILE *file = fopen("/proc/cpuinfo", "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) && strncmp(line, "flags", 5) != 0) continue;
    fclose(file);
    if (strncmp(line, "flags", 5) != 0 || getenv("VGG11_CPU")) return;
    ck_assert_int_eq(cpu_detect()->sse42, strstr(line, " sse4_2") != NULL);
    ck_assert_int_eq(cpu_detect()->avx2, strstr(line, " avx2") && strstr(line, " fma"));
    ck_assert_int_eq(cpu_detect()->avx512, strstr(line, " avx512f") && strstr(line, " avx512bw") && strstr(line, " avx512vl") &&
                                               strstr(line, " avx512dq"));
    ck_assert_int_eq(cpu_detect()->avx512_bf16, strstr(line, " avx512_bf16") != NULL);
    if (!strstr(line, " amx_bf16")) ck_assert(!cpu_detect()->amx_bf16);
}
END_TEST

START_TEST(the_affinity_mask_is_seen)
{
    cpu_set_t before, one;
    char text[4096], expected[32];
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    int cpu = 0;
    while (!CPU_ISSET(cpu, &before)) cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cpu_allowed_list(text, sizeof text);
    snprintf(expected, sizeof expected, "%d", cpu);
    ck_assert_str_eq(text, expected);
    ck_assert_int_eq(sched_setaffinity(0, sizeof before, &before), 0);
    cpu_allowed_list(text, 2);
    ck_assert_uint_le(strlen(text), 1);
}
END_TEST

START_TEST(the_machine_is_described)
{
    ck_assert_str_ne(cpu_model_name(), "");
    ck_assert_uint_gt(cpu_memory_available_bytes(), 1 << 20);
    ck_assert_uint_eq(cpu_cache_bytes(0), 0);
    ck_assert_uint_eq(cpu_cache_bytes(17), 0);
    double then = clock_now_s();
    ck_assert_double_ge(clock_now_s(), then);
}
END_TEST

START_TEST(the_peak_grows_with_what_is_touched)
{
    enum { BYTES = 64 << 20 };
    size_t before = cpu_memory_peak_bytes();
    ck_assert_uint_gt(before, 0);
    volatile char *block = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i += 4096) block[i] = 1;
    ck_assert_uint_ge(cpu_memory_peak_bytes(), before + BYTES / 2);
    free((void *)block);
}
END_TEST

static void write_file(const char *root, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

/* /proc/self/cgroup, and what lies in the groups' folders. */
typedef struct {
    const char *cgroup;
    const char *files[6][2];
} cgroup_files;

typedef struct {
    const char *name;
    cgroup_files found;
    size_t left;
} cgroup_case;

static const cgroup_case cgroup_cases[] = {
    {"no limit, version 2", {"0::/a/b\n", {{"a/b/memory.max", "max\n"}, {"a/b/memory.current", "5000\n"}}}, SIZE_MAX},
    {"version 2", {"0::/a/b\n", {{"a/b/memory.max", "9000\n"}, {"a/b/memory.current", "5000\n"}}}, 4000},
    {"dropped pages count",
     {"0::/a\n",
      {{"a/memory.max", "9000\n"}, {"a/memory.current", "5000\n"}, {"a/memory.stat", "anon 1\ninactive_file 700\nx 2\n"}}},
     4700},
    {"so do lately used ones",
     {"0::/a\n",
      {{"a/memory.max", "9000\n"}, {"a/memory.current", "8000\n"}, {"a/memory.stat", "inactive_file 700\nactive_file 5000\n"}}},
     6700},
    {"more of them than is used",
     {"0::/a\n",
      {{"a/memory.max", "9000\n"}, {"a/memory.current", "500\n"}, {"a/memory.stat", "inactive_file 700\nactive_file 5000\n"}}},
     9000},
    {"the group above is tighter",
     {"0::/a/b\n",
      {{"a/b/memory.max", "9000\n"}, {"a/b/memory.current", "10\n"}, {"a/memory.max", "600\n"}, {"a/memory.current", "100\n"}}},
     500},
    {"container: own root only", {"0::/not/visible\n", {{"memory.max", "800\n"}, {"memory.current", "300\n"}}}, 500},
    {"used up", {"0::/a\n", {{"a/memory.max", "100\n"}, {"a/memory.current", "200\n"}}}, 0},
    {"version 1",
     {"12:cpu,cpuacct:/c\n4:memory:/a\n0::/\n",
      {{"memory/a/memory.limit_in_bytes", "1000\n"},
       {"memory/a/memory.usage_in_bytes", "400\n"},
       {"memory/a/memory.stat", "cache 3\ninactive_file 7\ntotal_inactive_file 50\ntotal_active_file 300\n"}}},
     950},
    {"version 1, shared hierarchy",
     {"4:cpuset,memory:/a\n", {{"memory/a/memory.limit_in_bytes", "1000\n"}, {"memory/a/memory.usage_in_bytes", "400\n"}}},
     600},
    {"version 1, no limit",
     {"4:memory:/a\n", {{"memory/a/memory.limit_in_bytes", "9223372036854771712\n"}, {"memory/a/memory.usage_in_bytes", "400\n"}}},
     SIZE_MAX},
    {"nonsense", {"x\n:\n::\n7:memoryless:/a\n", {{"memory/a/memory.limit_in_bytes", "1\n"}}}, SIZE_MAX},
    {"empty", {"", {{NULL, NULL}}}, SIZE_MAX},
};
enum { CGROUP_CASES = sizeof cgroup_cases / sizeof *cgroup_cases };

/* A folder that stands in for both /proc and /sys/fs/cgroup, for remove_groups(). */
static char *make_groups(const cgroup_files *found)
{
    char *folder = support_make_folder();
    write_file(folder, "self/cgroup", found->cgroup);
    for (int i = 0; i < 6 && found->files[i][0]; i++) write_file(folder, found->files[i][0], found->files[i][1]);
    return folder;
}

static void remove_groups(char *folder)
{
    support_remove_folder(folder);
    free(folder);
}

START_TEST(limits_of_control_groups_are_found)
{
    const cgroup_case *row = &cgroup_cases[_i];
    char *folder = make_groups(&row->found);
    size_t left = cgroup_memory_left_bytes(folder, folder);
    ck_assert_msg(left == row->left, "%s: %zu, expected %zu", row->name, left, row->left);
    ck_assert_uint_eq(cgroup_memory_left_bytes("/nonexistent", folder), SIZE_MAX);
    remove_groups(folder);
}
END_TEST

static const struct {
    const char *name;
    cgroup_files found;
    double quota;
} quota_cases[] = {
    {"version 2", {"0::/a/b\n", {{"a/b/cpu.max", "150000 100000\n"}}}, 1.5},
    {"version 2, no quota", {"0::/a/b\n", {{"a/b/cpu.max", "max 100000\n"}}}, INFINITY},
    {"the group above is tighter", {"0::/a/b\n", {{"a/b/cpu.max", "400000 100000\n"}, {"a/cpu.max", "200000 100000\n"}}}, 2},
    {"container: own root only", {"0::/not/visible\n", {{"cpu.max", "300000 100000\n"}}}, 3},
    {"version 1",
     {"4:memory:/m\n2:cpu,cpuacct:/a\n0::/\n", {{"cpu/a/cpu.cfs_quota_us", "250000\n"}, {"cpu/a/cpu.cfs_period_us", "100000\n"}}},
     2.5},
    {"version 1, no quota",
     {"2:cpu:/a\n", {{"cpu/a/cpu.cfs_quota_us", "-1\n"}, {"cpu/a/cpu.cfs_period_us", "100000\n"}}},
     INFINITY},
    {"version 1, container: own root only",
     {"2:cpuacct,cpu:/not/visible\n", {{"cpu/cpu.cfs_quota_us", "50000\n"}, {"cpu/cpu.cfs_period_us", "100000\n"}}},
     0.5},
    {"the set of processors is another controller",
     {"2:cpuset:/a\n", {{"cpu/a/cpu.cfs_quota_us", "50000\n"}, {"cpu/a/cpu.cfs_period_us", "100000\n"}}},
     INFINITY},
    {"empty", {"", {{NULL, NULL}}}, INFINITY},
};
enum { QUOTA_CASES = sizeof quota_cases / sizeof *quota_cases };

START_TEST(quotas_of_control_groups_are_found)
{
    char *folder = make_groups(&quota_cases[_i].found);
    double quota = cgroup_cpu_quota(folder, folder), expected = quota_cases[_i].quota;
    ck_assert_msg(quota == expected, "%s: %g, expected %g", quota_cases[_i].name, quota, expected);
    remove_groups(folder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu");
    TCase *tests = tcase_create("cpu");
    tcase_add_test(tests, the_environment_lowers_the_level_and_never_raises_it);
    tcase_add_test(tests, features_agree_with_the_kernel);
    tcase_add_test(tests, the_affinity_mask_is_seen);
    tcase_add_test(tests, the_machine_is_described);
    tcase_add_test(tests, the_peak_grows_with_what_is_touched);
    tcase_add_loop_test(tests, limits_of_control_groups_are_found, 0, CGROUP_CASES);
    tcase_add_loop_test(tests, quotas_of_control_groups_are_found, 0, QUOTA_CASES);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

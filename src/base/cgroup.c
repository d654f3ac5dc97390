#include "base/cgroup.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096, LINE_BYTES = 4096 };

unsigned long long proc_read_number(const char *path, const char *key, unsigned long long otherwise)
{
    FILE *file = fopen(path, "r");
    if (!file) return otherwise;
    char line[LINE_BYTES];
    unsigned long long number = otherwise;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, key, strlen(key)) != 0) continue;
        char *end, *digits = line + strlen(key);
        unsigned long long read = strtoull(digits, &end, 10);
        if (end != digits) number = read;
        break;
    }
    fclose(file);
    return number;
}

/* What the group whose files lie in `folder` leaves; INFINITY without a limit. */
typedef double (*group_reader)(const char *folder);

typedef struct {
    const char *controller; /* as /proc names it, and as its hierarchy's folder is called in version 1 */
    group_reader version_1, version_2;
} resource;

/* "max" (version 2), -1 and numbers near 2^63 (version 1) mean no limit, and are numbers above any real one, or none. */
static double read_number(const char *folder, const char *name, const char *key, double otherwise)
{
    char path[3 * PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unsigned long long number = proc_read_number(path, key, ULLONG_MAX);
    return number > ULLONG_MAX / 4 ? otherwise : (double)number;
}

/* The kernel reclaims pages of files, lately used ones too, before it lets an allocation fail. */
static double memory_left(const char *folder, const char *limit_name, const char *usage_name, const char *const file_pages[2])
{
    double limit = read_number(folder, limit_name, "", INFINITY), usage = read_number(folder, usage_name, "", 0);
    for (int i = 0; i < 2; i++) usage -= read_number(folder, "memory.stat", file_pages[i], 0);
    return fmax(0, limit - fmax(0, usage));
}

static double memory_left_1(const char *folder)
{
    static const char *const file_pages[2] = {"total_inactive_file ", "total_active_file "};
    return memory_left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", file_pages);
}

static double memory_left_2(const char *folder)
{
    static const char *const file_pages[2] = {"inactive_file ", "active_file "};
    return memory_left(folder, "memory.max", "memory.current", file_pages);
}

static double cpu_quota_1(const char *folder)
{
    double period = read_number(folder, "cpu.cfs_period_us", "", 0), quota = read_number(folder, "cpu.cfs_quota_us", "", INFINITY);
    return period > 0 ? quota / period : INFINITY;
}

/* "200000 100000" is two processors; "max 100000" is no limit. */
static double cpu_quota_2(const char *folder)
{
    char path[3 * PATH_BYTES];
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    FILE *file = fopen(path, "re");
    if (!file) return INFINITY;
    double quota, period;
    bool limited = fscanf(file, "%lf %lf", &quota, &period) == 2 && period > 0;
    fclose(file);
    return limited ? quota / period : INFINITY;
}

static const resource memory = {"memory", memory_left_1, memory_left_2};
static const resource cpu = {"cpu", cpu_quota_1, cpu_quota_2};

/* From the process' own group up to the root: in a container the named group may be invisible, and the root is its own. */
static double least_on_path(group_reader read, const char *root, char *group)
{
    double least = INFINITY;
    for (;;) {
        char folder[2 * PATH_BYTES + 1];
        snprintf(folder, sizeof folder, "%s%s", root, group);
        least = fmin(least, read(folder));
        char *slash = strrchr(group, '/');
        if (!slash) return least;
        *slash = '\0';
    }
}

static bool lists(const char *controllers, const char *wanted)
{
    size_t length = strlen(wanted);
    for (const char *name = controllers; name; name = strchr(name, ',')) {
        name += *name == ',';
        if (strncmp(name, wanted, length) == 0 && (name[length] == ',' || name[length] == '\0')) return true;
    }
    return false;
}

/* A line "hierarchy:controllers:group" of /proc/self/cgroup; version 2 has hierarchy 0 and no controllers. */
static double least_by_line(const resource *wanted, const char *sys, char *line)
{
    char root[PATH_BYTES];
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) return INFINITY;
    *controllers++ = '\0';
    *group++ = '\0';
    if (strcmp(line, "0") == 0 && *controllers == '\0') return least_on_path(wanted->version_2, sys, group);
    snprintf(root, sizeof root, "%s/%s", sys, wanted->controller);
    return lists(controllers, wanted->controller) ? least_on_path(wanted->version_1, root, group) : INFINITY;
}

static double least_of_all(const resource *wanted, const char *proc, const char *sys)
{
    char path[PATH_BYTES], line[LINE_BYTES];
    snprintf(path, sizeof path, "%s/self/cgroup", proc);
    FILE *file = fopen(path, "re");
    if (!file) return INFINITY;
    double least = INFINITY;
    while (fgets(line, sizeof line, file)) least = fmin(least, least_by_line(wanted, sys, line));
    fclose(file);
    return least;
}

size_t cgroup_memory_left_bytes(const char *proc, const char *sys)
{
    double left = least_of_all(&memory, proc, sys);
    return isinf(left) ? SIZE_MAX : (size_t)left;
}

double cgroup_cpu_quota(const char *proc, const char *sys) { return least_of_all(&cpu, proc, sys); }

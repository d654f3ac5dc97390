#include "base/cgroup.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096, LINE_BYTES = 4096 };

/* File names of one version of control groups. */
typedef struct {
    const char *mount; /* below the folder of control groups */
    const char *limit, *usage;
    const char *droppable; /* key in memory.stat */
} cgroup_version;

static const cgroup_version version_1 = {"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
static const cgroup_version version_2 = {".", "memory.max", "memory.current", "inactive_file"};

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

static unsigned long long read_group(const cgroup_version *version, const char *sys, const char *group, const char *name,
                                     const char *key, unsigned long long otherwise)
{
    char path[3 * PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s%s/%s", sys, version->mount, group, name);
    return proc_read_number(path, key, otherwise);
}

/* "max" (version 2) and numbers near 2^63 (version 1) mean no limit; both come out as a limit above any real memory. */
static unsigned long long left_in_group(const cgroup_version *version, const char *sys, const char *group)
{
    unsigned long long limit = read_group(version, sys, group, version->limit, "", ULLONG_MAX);
    if (limit > ULLONG_MAX / 4) return ULLONG_MAX;
    unsigned long long usage = read_group(version, sys, group, version->usage, "", 0);
    unsigned long long droppable = read_group(version, sys, group, "memory.stat", version->droppable, 0);
    if (droppable < usage)
        usage -= droppable;
    else
        usage = 0;
    return usage < limit ? limit - usage : 0;
}

/* From the process' own group up to the root: in a container the named group may be invisible, and the root is its own. */
static unsigned long long left_on_path(const cgroup_version *version, const char *sys, char *group)
{
    unsigned long long least = ULLONG_MAX;
    for (;;) {
        unsigned long long left = left_in_group(version, sys, group);
        if (left < least) least = left;
        char *slash = strrchr(group, '/');
        if (!slash) return least;
        *slash = '\0';
    }
}

static int lists_memory(const char *controllers)
{
    for (const char *name = controllers; name; name = strchr(name, ',')) {
        name += *name == ',';
        if (strncmp(name, "memory", 6) == 0 && (name[6] == ',' || name[6] == '\0')) return 1;
    }
    return 0;
}

/* A line "hierarchy:controllers:group" of /proc/self/cgroup; version 2 has hierarchy 0 and no controllers. */
static unsigned long long left_by_line(const char *sys, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) return ULLONG_MAX;
    *controllers++ = '\0';
    *group++ = '\0';
    if (strcmp(line, "0") == 0 && *controllers == '\0') return left_on_path(&version_2, sys, group);
    return lists_memory(controllers) ? left_on_path(&version_1, sys, group) : ULLONG_MAX;
}

size_t cgroup_memory_left_bytes(const char *proc, const char *sys)
{
    char path[PATH_BYTES], line[LINE_BYTES];
    snprintf(path, sizeof path, "%s/self/cgroup", proc);
    FILE *file = fopen(path, "r");
    if (!file) return SIZE_MAX;
    unsigned long long least = ULLONG_MAX;
    while (fgets(line, sizeof line, file)) {
        unsigned long long left = left_by_line(sys, line);
        if (left < least) least = left;
    }
    fclose(file);
    return least > SIZE_MAX ? SIZE_MAX : (size_t)least;
}

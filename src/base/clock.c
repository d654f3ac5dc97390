#include "vgg11/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double clock_now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Field 22 of /proc/self/stat (proc(5)), in clock ticks since boot; the second field may hold spaces and parentheses. */
static unsigned long long start_ticks(void)
{
    enum { FIELDS_AFTER_NAME = 20 };
    char line[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file) return 0;
    size_t length = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[length] = '\0';
    const char *at = strrchr(line, ')');
    for (int i = 0; at && i < FIELDS_AFTER_NAME; i++) at = strchr(at + 1, ' ');
    unsigned long long ticks = 0;
    return at && sscanf(at, "%llu", &ticks) == 1 ? ticks : 0;
}

double clock_process_age_s(void)
{
    struct timespec now;
    unsigned long long ticks = start_ticks();
    if (ticks == 0 || clock_gettime(CLOCK_BOOTTIME, &now) != 0) return 0;
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec - (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

/* Without the zone; returns the length, 0 if that is no date. */
static size_t print_date(time_t seconds, char text[CLOCK_UTC_MAX])
{
    struct tm date;
    return gmtime_r(&seconds, &date) ? strftime(text, CLOCK_UTC_MAX, "%Y-%m-%dT%H:%M:%S", &date) : 0;
}

const char *clock_utc(char text[CLOCK_UTC_MAX])
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    size_t used = print_date(now.tv_sec, text);
    snprintf(text + used, CLOCK_UTC_MAX - used, ".%03ldZ", now.tv_nsec / 1000000);
    return text;
}

const char *clock_utc_of(int64_t seconds, char text[CLOCK_UTC_MAX])
{
    size_t used = print_date((time_t)seconds, text);
    if (used == 0 || used + 1 >= CLOCK_UTC_MAX) return NULL;
    strcpy(text + used, "Z");
    return text;
}

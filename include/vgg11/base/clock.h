/* Time. */
#ifndef VGG11_BASE_CLOCK_H
#define VGG11_BASE_CLOCK_H

#include <stdint.h>

/* Seconds since some fixed point, unaffected by changes of the system's date. */
double clock_now_s(void);

/* Seconds since this process was started, to 10 ms; 0 if the system does not say. */
double clock_process_age_s(void);

/* The system's date and time as ISO 8601 has it, "2026-11-27T09:45:12.345Z"; returns `text`. */
enum { CLOCK_UTC_MAX = 32 };
const char *clock_utc(char text[CLOCK_UTC_MAX]);

/* The same of a second since 1970, "2026-11-27T09:45:12Z"; NULL if that is no date. */
const char *clock_utc_of(int64_t seconds, char text[CLOCK_UTC_MAX]);

#endif

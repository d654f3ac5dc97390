/* What a rank did when: spans of time with names, in memory that is taken before the first of them. Every function takes NULL for a log,
 * and then does nothing and reads no clock: so costs what is not traced no more than that comparison. One thread at a time. */
#ifndef VGG11_BASE_SPANS_H
#define VGG11_BASE_SPANS_H

#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/clock.h"
#include "vgg11/base/status.h"

/* The lines of a rank's timeline. Within each, spans follow each other or lie within each other. Messages that are under way at the same
 * time have one each, from SPAN_MESSAGES on. */
enum { SPAN_TRAINING, SPAN_SAVING, SPAN_MESSAGES };

/* What this rank's threads can do at most, per second; zeros: unknown. */
typedef struct {
    double flops;
    double bytes;
} span_limits;

enum { SPAN_NAME_MAX = 28 };

/* What was done in it at least; zeros: nothing to tell of. */
typedef struct {
    double flops; /* floating-point operations */
    double bytes; /* read from and written to memory */
} span_work;

/* Without pointers, so that ranks can send them to each other. */
typedef struct {
    char name[SPAN_NAME_MAX];
    uint32_t line;
    double start_s; /* clock_now_s() */
    double end_s;
    uint64_t step; /* of the training; 1 for the first */
    span_work work;
} span;

typedef struct {
    span *spans; /* [capacity], in the order of their ends */
    size_t capacity;
    size_t count;
    size_t lost;   /* for which there was no room */
    uint64_t step; /* for the caller to set: that of the spans to come */
} span_log;

/* VGG_UNAVAILABLE without memory for so many. The caller closes; NULL is fine. */
vgg_status span_log_open(size_t capacity, span_log **out);
void span_log_close(span_log *log);

/* Adds a span from start_s to end_s, whose name is that of `what` and, unless it is NULL, a space and `part`. */
void span_add(span_log *log, uint32_t line, const char *what, const char *part, double start_s, double end_s, span_work work);

/* The start of a span of the training's line, for span_end(). */
static inline double span_start(const span_log *log) { return log ? clock_now_s() : 0; }

/* It ends now. */
static inline void span_end(span_log *log, double start_s, const char *name)
{
    if (log) span_add(log, SPAN_TRAINING, name, NULL, start_s, clock_now_s(), (span_work){0, 0});
}

/* It ends now, and is left out if it took less than `least_s`: for what happens often and mostly does nothing. */
static inline void span_end_if_long(span_log *log, double start_s, const char *name, double least_s)
{
    if (!log) return;
    double end_s = clock_now_s();
    if (end_s - start_s >= least_s) span_add(log, SPAN_TRAINING, name, NULL, start_s, end_s, (span_work){0, 0});
}

#endif

/* Small arithmetic on sizes (size_t) and on the dimensions of problems (int). */
#ifndef VGG11_BASE_INTEGERS_H
#define VGG11_BASE_INTEGERS_H

#include <stddef.h>

static inline size_t size_min(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t size_max(size_t a, size_t b) { return a > b ? a : b; }
static inline int int_min(int a, int b) { return a < b ? a : b; }
static inline int int_max(int a, int b) { return a > b ? a : b; }

/* value / by, rounded up; value >= 0, by >= 1, and value + by must not overflow. */
static inline size_t size_divide_up(size_t value, size_t by) { return (value + by - 1) / by; }
static inline int int_divide_up(int value, int by) { return (value + by - 1) / by; }

#endif

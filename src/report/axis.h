/* Private to report: an axis of a chart, with round numbers at its ticks. */
#ifndef VGG11_REPORT_AXIS_H
#define VGG11_REPORT_AXIS_H

#include <stdbool.h>

#include "report/text.h"

enum { AXIS_TICKS_MAX = 16 };

typedef struct {
    double low, high; /* low < high; both above 0 on a logarithmic axis */
    bool logarithmic;
    double ticks[AXIS_TICKS_MAX]; /* [count], ascending, within low .. high */
    int count;
    int decimals; /* of the labels; less than 0: as many as each needs */
} axis;

/* Fits an axis to values from `low` to `high`, finite ones, some `wanted` ticks on it. A linear one begins and ends at a tick if `round`;
 * a logarithmic one has some room at both ends. A logarithmic one is linear if `low` is not above 0. */
void axis_fit(axis *a, double low, double high, bool logarithmic, bool round, int wanted);

/* 0 .. 1, from low to high; what lies outside is put at the nearer end. */
double axis_place(const axis *a, double value);

/* "0.05", "12,500", "1e-06". Writes into `text` and returns it. */
const char *axis_label(const axis *a, double tick, char text[TEXT_NUMBER_BYTES]);

#endif

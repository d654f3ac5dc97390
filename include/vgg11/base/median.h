/* The median of measurements. */
#ifndef VGG11_BASE_MEDIAN_H
#define VGG11_BASE_MEDIAN_H

#include <stddef.h>

/* Sorts values[count], count >= 1, in ascending order and returns their median: of an even number the mean of the two in the middle. */
double median_sort(double *values, size_t count);

#endif

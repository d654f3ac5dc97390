/* Private to report and the rooms above it: a table of counts as JSON. */
#ifndef VGG11_REPORT_COUNT_MATRIX_H
#define VGG11_REPORT_COUNT_MATRIX_H

#include <jansson.h>
#include <stdint.h>

/* counts[rows][columns] as an array of arrays; NULL without memory. */
json_t *count_matrix_json(const uint64_t *counts, int rows, int columns);

#endif

#include "report/count_matrix.h"

#include <stdbool.h>

json_t *count_matrix_json(const uint64_t *counts, int rows, int columns)
{
    json_t *matrix = json_array();
    bool whole = true;
    for (int i = 0; i < rows; i++) {
        json_t *row = json_array();
        for (int k = 0; k < columns; k++)
            whole &= json_array_append_new(row, json_integer((json_int_t)counts[i * columns + k])) == 0;
        whole &= json_array_append_new(matrix, row) == 0;
    }
    if (whole) return matrix;
    json_decref(matrix);
    return NULL;
}

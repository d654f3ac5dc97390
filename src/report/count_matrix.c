#include "report/count_matrix.h"

#include "base/json.h"

json_t *count_matrix_json(const uint64_t *counts, int rows, int columns)
{
    json_t *matrix = json_array();
    for (int i = 0; i < rows; i++) {
        json_t *row = json_array();
        for (int k = 0; k < columns; k++) json_list_add(&row, json_integer((json_int_t)counts[i * columns + k]));
        json_list_add(&matrix, row);
    }
    return matrix;
}

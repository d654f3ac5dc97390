#include "conv/direct.h"

direct_window direct_window_at(int side, int kernel, int tap)
{
    direct_window v = {.row_shift = tap / kernel - kernel / 2, .column_shift = tap % kernel - kernel / 2};
    int row_end = v.row_shift > 0 ? side - v.row_shift : side;
    int column_end = v.column_shift > 0 ? side - v.column_shift : side;
    v.first_row = v.row_shift < 0 ? -v.row_shift : 0;
    v.first_column = v.column_shift < 0 ? -v.column_shift : 0;
    v.row_count = row_end > v.first_row ? row_end - v.first_row : 0;
    v.column_count = column_end > v.first_column ? column_end - v.first_column : 0;
    return v;
}

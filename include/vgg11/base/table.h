/* Tables of alternatives: arrays of rows whose first member is `const char *name`, ended by a row whose name is NULL. */
#ifndef VGG11_BASE_TABLE_H
#define VGG11_BASE_TABLE_H

#include <stddef.h>
#include <string.h>

/* The row of that name; NULL if there is none. */
static inline const void *table_find(const void *rows, size_t row_bytes, const char *name)
{
    for (const char *row = rows; *(const char *const *)(const void *)row; row += row_bytes)
        if (strcmp(*(const char *const *)(const void *)row, name) == 0) return row;
    return NULL;
}

#endif

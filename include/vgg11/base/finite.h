/* Whether numbers are finite, told by their bits: neither NaN nor infinity among values[count]. */
#ifndef VGG11_BASE_FINITE_H
#define VGG11_BASE_FINITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool finite_floats(const float *values, size_t count);
bool finite_bf16(const uint16_t *values, size_t count);

#endif

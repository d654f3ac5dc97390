#include "vgg11/base/finite.h"

#include <string.h>

/* No early end in these loops, so that the compiler may take many numbers at a time. */

bool finite_floats(const float *values, size_t count)
{
    const uint32_t exponent = 0x7f800000;
    uint32_t endless = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        endless |= (bits & exponent) == exponent;
    }
    return endless == 0;
}

bool finite_bf16(const uint16_t *values, size_t count)
{
    const uint16_t exponent = 0x7f80;
    uint32_t endless = 0;
    for (size_t i = 0; i < count; i++) endless |= (values[i] & exponent) == exponent;
    return endless == 0;
}

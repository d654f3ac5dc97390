/* bfloat16: the upper half of an IEEE 754 single, rounded to nearest, ties to even. */
#ifndef VGG11_BASE_BF16_H
#define VGG11_BASE_BF16_H

#include <stdint.h>
#include <string.h>

typedef uint16_t bf16;

/* NaN stays NaN (made quiet, since cutting a signalling one's low bits could leave Inf); overflow rounds to Inf. */
static inline bf16 bf16_round(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    uint32_t quiet_nan = (bits >> 16) | 0x40u;
    return (bf16)((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded);
}

static inline float bf16_widen(bf16 value)
{
    uint32_t bits = (uint32_t)value << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

#endif

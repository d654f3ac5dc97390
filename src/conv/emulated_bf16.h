/* Access of tests to the row emulated-bf16. */
#ifndef VGG11_CONV_EMULATED_BF16_H
#define VGG11_CONV_EMULATED_BF16_H

#include "vgg11/conv/conv.h"

/* The fp32 row that multiplies the rounded operands in an open plan of emulated-bf16. */
const conv_algorithm *emulated_bf16_inner(const conv_plan *plan);

#endif

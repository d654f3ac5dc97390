/* The type of numbers that a product multiplies. Sums, weights, their gradients and velocity are fp32 in both. */
#ifndef VGG11_BASE_PRECISION_H
#define VGG11_BASE_PRECISION_H

typedef enum { PRECISION_FP32, PRECISION_BF16 } vgg_precision;

#endif

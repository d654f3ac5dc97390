/* Inner products of images with images (entries of a Gram matrix), in double precision. */
#ifndef VGG11_KERNELS_GRAM_H
#define VGG11_KERNELS_GRAM_H

#include <stdbool.h>
#include <stddef.h>

/* The number of channels must be a multiple of GRAM_LANES. */
enum { GRAM_BLOCK = 8, GRAM_LANES = 8 };

/* Up to GRAM_BLOCK images, each a row of floats or, if `bf16`, of bfloat16 numbers. */
typedef struct {
    const void *first;
    size_t stride_bytes; /* between rows */
    size_t count;        /* 1 .. GRAM_BLOCK */
    bool bf16;
} gram_rows;

/* products[i][j] = sum over channels c of a[i][c] b[j][c], for i < a->count and j < b->count; the rest is undefined. a and b have
 * the same type. A product of two floats is exact in double precision, and each sum is added in GRAM_LANES fixed lanes, so that it
 * has the same bits on every processor and an error of at most channels 2^-53 |a[i]| |b[j]|. NaN and Inf pass through. */
void gram_products(const gram_rows *a, const gram_rows *b, size_t channels, double products[GRAM_BLOCK][GRAM_BLOCK]);

#endif

/* Products of images among themselves, in double precision. */
#ifndef VGG11_NN_IMAGE_PRODUCTS_H
#define VGG11_NN_IMAGE_PRODUCTS_H

#include <stdbool.h>
#include <stddef.h>

/* Channels are a multiple of IMAGE_LANES. */
enum { IMAGE_BLOCK = 8, IMAGE_LANES = 8 };

/* Up to IMAGE_BLOCK images, each a row of floats or, if `bf16`, of bfloat16 numbers. */
typedef struct {
    const void *first;
    size_t stride_bytes; /* between rows */
    size_t count;        /* at least one */
    bool bf16;
} image_rows;

/* products[i][j] = sum over channels c of a[i][c] b[j][c], for i < a->count and j < b->count; the rest is undefined. a and b are of
 * one type. A product of two floats is exact in double precision, and each sum is added in IMAGE_LANES fixed lanes: the same bits
 * on every processor, and an error of at most channels 2^-53 |a[i]| |b[j]|. NaN and Inf pass through. */
void image_products(const image_rows *a, const image_rows *b, size_t channels, double products[IMAGE_BLOCK][IMAGE_BLOCK]);

#endif

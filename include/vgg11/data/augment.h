/* Random changes of training images: a digit that is moved or turned a little is the same digit, and a network that has seen many
 * such copies errs less (Simard, Steinkraus & Platt, "Best practices for convolutional neural networks", ICDAR 2003). Integers
 * only: the same random words give the same bytes on every processor. */
#ifndef VGG11_DATA_AUGMENT_H
#define VGG11_DATA_AUGMENT_H

#include <stdint.h>

typedef struct {
    const char *name;
    const char *good_when;
    /* Writes target[32][32] from source[32][32] and four random words; pixels from outside of the source are 0. NULL: images stay as
     * they are. Safe from several threads at once. */
    void (*apply)(const uint32_t random[4], const uint8_t *source, uint8_t *target);
} augmentation;

/* Ended by a row whose name is NULL: none; shift (by -2..2 whole pixels in each direction, all alike likely); affine (turned by up
 * to 10 degrees, each axis scaled by up to 10 %, shifted by up to 2 pixels, all uniform; bilinear between pixels). */
extern const augmentation augmentations[];

/* The row of that name; NULL if there is none. */
const augmentation *augmentation_find(const char *name);

#endif

/* Pictures of digits as people have them, one after another, made into what the network was trained on: PNG files, and IDX files of images.
 *
 * What a PNG file holds is inverted if its ground is light and that of the training's images is dark, or the other way round; becomes a
 * square, by more of its ground on two sides; and, if it is larger than 32x32, is made 28x28 first, as MNIST's own images are. Images of
 * an IDX file are taken as they are. Then both are resized as in the training. Not collective. */
#ifndef VGG11_DATA_PICTURE_H
#define VGG11_DATA_PICTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "vgg11/base/status.h"
#include "vgg11/data/dataset.h"
#include "vgg11/data/resize.h"

/* What the images of the training were like. */
typedef struct {
    const resize_filter *filter;
    bool light_ground;
} picture_style;

/* What a picture was like, and what was done to it. */
typedef struct {
    uint32_t rows, columns; /* in the file */
    bool inverted;
    bool squared;
    bool blank; /* all pixels were the same */
} picture_facts;

typedef struct picture_reader picture_reader;

/* Opens a file, whose first bytes say of which kind it is. `path` and what `style` points to must outlive the reader, which
 * picture_close() frees. VGG_BAD_DATA, naming the file, if it cannot be opened or is neither; VGG_UNAVAILABLE for a PNG file in a build
 * that cannot read it. */
vgg_status picture_open(const char *path, const picture_style *style, picture_reader **out);
void picture_close(picture_reader *reader);

/* Pictures in the file, and whether they are numbered: those of an IDX file are, even if there is but one. */
uint32_t picture_count(const picture_reader *reader);
bool picture_is_numbered(const picture_reader *reader);

/* The next of them. VGG_BAD_DATA if the file is damaged; the reader is then of no more use. */
vgg_status picture_next(picture_reader *reader, uint8_t image[DATASET_PIXELS], picture_facts *facts);

/* Whether all `count` pixels are the same. */
bool picture_is_blank(const uint8_t *pixels, size_t count);

#endif

#include "vgg11/data/png_file.h"

#ifdef VGG11_HAVE_PNG
#include <errno.h>
#include <png.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vgg11/base/file.h"

enum { CHANNELS = 4, OPAQUE = 255 };

vgg_status png_file_available(void) { return VGG_OK; }

/* Pillow's weights of red, green and blue: they sum up to 2^16. */
static unsigned luma(const uint8_t *rgba) { return (rgba[0] * 19595U + rgba[1] * 38470U + rgba[2] * 7471U + 0x8000) >> 16; }

/* What lies behind transparent parts. Where most of a picture is opaque, that shows its own ground, and black or white goes on what
 * it is nearer to; where little is, that is the ink, and the ground is what the ink is not. */
static unsigned ground_of(const uint8_t *rgba, size_t pixels)
{
    uint64_t opacity = 0, light = 0;
    for (size_t i = 0; i < pixels; i++) {
        opacity += rgba[CHANNELS * i + 3];
        light += (uint64_t)rgba[CHANNELS * i + 3] * luma(rgba + CHANNELS * i);
    }
    bool mostly_opaque = 2 * opacity > (uint64_t)OPAQUE * pixels, mostly_light = 2 * light > opacity * OPAQUE;
    return mostly_opaque == mostly_light ? 255 : 0;
}

/* In place: a pixel of grey is written where a pixel of four bytes was read, or before. */
static void flatten(uint8_t *rgba, size_t pixels)
{
    unsigned ground = ground_of(rgba, pixels);
    for (size_t i = 0; i < pixels; i++) {
        unsigned alpha = rgba[CHANNELS * i + 3];
        rgba[i] = (uint8_t)((alpha * luma(rgba + CHANNELS * i) + (OPAQUE - alpha) * ground + OPAQUE / 2) / OPAQUE);
    }
}

/* libpng says of memory what it says of any error. */
static vgg_status refuse(const char *path, const png_image *image)
{
    if (errno == ENOMEM) return vgg_fail(VGG_UNAVAILABLE, "%s: no memory to read it", path);
    return vgg_fail(VGG_BAD_DATA, "%s: not a sound PNG file: %s", path, image->message);
}

/* 16 bits without a word on their gamma are taken as 8 bits are. */
static vgg_status decode(const char *path, png_image *image, png_picture *picture)
{
    if (image->height > PNG_FILE_MAX_SIDE || image->width > PNG_FILE_MAX_SIDE)
        return vgg_fail(VGG_BAD_DATA, "%s: a picture of %u x %u pixels; up to %d x %d are read", path, image->width, image->height,
                        PNG_FILE_MAX_SIDE, PNG_FILE_MAX_SIDE);
    size_t pixels = (size_t)image->height * image->width;
    image->format = PNG_FORMAT_RGBA;
    image->flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
    uint8_t *rgba = malloc(pixels * CHANNELS);
    if (!rgba) return vgg_fail(VGG_UNAVAILABLE, "%s: no memory to read it", path);
    if (!png_image_finish_read(image, NULL, rgba, 0, NULL)) {
        free(rgba);
        return refuse(path, image);
    }
    flatten(rgba, pixels);
    *picture = (png_picture){image->height, image->width, rgba};
    return VGG_OK;
}

static vgg_status read_open(const char *path, FILE *file, png_picture *picture)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    errno = 0;
    vgg_status status = png_image_begin_read_from_stdio(&image, file) ? decode(path, &image, picture) : refuse(path, &image);
    png_image_free(&image);
    return status;
}

vgg_status png_file_read(const char *path, png_picture *picture)
{
    int descriptor;
    vgg_status status = file_open_to_read(path, &descriptor);
    if (status != VGG_OK) return status == VGG_IO_ERROR ? vgg_fail(VGG_BAD_DATA, "%s", vgg_message()) : status;
    FILE *file = fdopen(descriptor, "rb");
    if (!file) {
        close(descriptor);
        return vgg_fail(VGG_UNAVAILABLE, "%s: no memory to read it", path);
    }
    status = read_open(path, file, picture);
    fclose(file);
    return status;
}

vgg_status png_file_encode(const png_picture *picture, void **file, size_t *bytes)
{
    png_image image = {.version = PNG_IMAGE_VERSION, .width = picture->columns, .height = picture->rows, .format = PNG_FORMAT_GRAY};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    *file = malloc(size);
    if (!*file) return vgg_fail(VGG_UNAVAILABLE, "no memory to pack a picture of %u x %u pixels", picture->columns, picture->rows);
    if (!png_image_write_to_memory(&image, *file, &size, 0, picture->grey, 0, NULL)) {
        free(*file);
        return vgg_fail(VGG_UNAVAILABLE, "a picture of %u x %u pixels: %s", picture->columns, picture->rows, image.message);
    }
    *bytes = size;
    return VGG_OK;
}

vgg_status png_file_write(const char *path, const png_picture *picture)
{
    void *file;
    size_t bytes;
    vgg_status status = png_file_encode(picture, &file, &bytes);
    if (status != VGG_OK) return status;
    status = file_replace_text(path, file, bytes);
    free(file);
    return status;
}

#else

vgg_status png_file_available(void)
{
    return vgg_fail(VGG_UNAVAILABLE,
                    "PNG files need libpng, which this build lacks: install it (launch/setup.sh does) and build anew");
}

vgg_status png_file_read(const char *path, png_picture *picture)
{
    (void)path, (void)picture;
    return png_file_available();
}

vgg_status png_file_encode(const png_picture *picture, void **file, size_t *bytes)
{
    (void)picture, (void)file, (void)bytes;
    return png_file_available();
}

vgg_status png_file_write(const char *path, const png_picture *picture)
{
    (void)path, (void)picture;
    return png_file_available();
}

#endif

/* PNG files, by libpng. A build without it (`vgg11_dist info` says so) has these functions as well: all are then VGG_UNAVAILABLE. */
#ifndef VGG11_DATA_PNG_FILE_H
#define VGG11_DATA_PNG_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/status.h"

/* Longest side, pixels, of a picture that is read. */
enum { PNG_FILE_MAX_SIDE = 8192 };

/* Whether PNG files can be read and written. */
vgg_status png_file_available(void);

/* A picture in shades of grey. */
typedef struct {
    uint32_t rows;
    uint32_t columns;
    uint8_t *grey; /* [rows][columns], for free() */
} png_picture;

/* Reads a picture of any colour type, depth and interlacing: colours become their luma (ITU-R 601, in Pillow's integers, so that grey
 * stays what it was), 16 bits become 8, and what is transparent becomes the ground: white or black, see flatten() in png_file.c.
 * VGG_BAD_DATA, naming the file, if it cannot be opened, is damaged, cut off, or wider or higher than PNG_FILE_MAX_SIDE. */
vgg_status png_file_read(const char *path, png_picture *picture);

/* The file's bytes for grey[rows][columns], 8-bit grey: *file is for free(). */
vgg_status png_file_encode(const png_picture *picture, void **file, size_t *bytes);

/* Writes grey[rows][columns] as 8-bit grey, whole or not at all. VGG_IO_ERROR names the file. */
vgg_status png_file_write(const char *path, const png_picture *picture);

#endif

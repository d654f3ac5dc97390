/* A data set: images resized to 32x32 as bytes, labels as bytes; where it lies, and how a part of it is decoded.
 * It knows neither MPI nor the owner of the memory: a caller that shares the arrays between processes passes pointers in. */
#ifndef VGG11_DATA_DATASET_H
#define VGG11_DATA_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/range.h"
#include "vgg11/base/status.h"
#include "vgg11/data/resize.h"

enum { DATASET_SIDE = 32, DATASET_PIXELS = DATASET_SIDE * DATASET_SIDE, DATASET_CLASSES = 10, DATASET_PATH_MAX = 4096 };

typedef enum { DATASET_TRAIN, DATASET_TEST } dataset_split;

/* The two files of one split, found and checked against each other. */
typedef struct {
    char images_path[DATASET_PATH_MAX];
    char labels_path[DATASET_PATH_MAX];
    uint32_t count; /* to be used: the first `count` samples of the files */
    uint32_t rows;  /* of the stored images */
    uint32_t columns;
} dataset_source;

/* Decoded samples, all of them or a part. Does not own the memory. */
typedef struct {
    const uint8_t *images; /* [][32][32] */
    const uint8_t *labels; /* [] */
    uint32_t count;
    const uint32_t *places; /* [count]: sample i is images[places[i]]; NULL: it is images[i] */
} dataset;

/* Where sample i of the set lies. */
static inline uint32_t dataset_place(const dataset *set, uint32_t i) { return set->places ? set->places[i] : i; }

/* Writes into `directory` where the data set is: `asked` if it is not NULL, else $VGG11_DATA, else data/mnist beside the
 * sources, else the installed copy. VGG_BAD_DATA, naming the places tried, if there is none. */
vgg_status dataset_locate(const char *asked, char directory[DATASET_PATH_MAX]);

/* Finds train-images-idx3-ubyte or t10k-images-idx3-ubyte and the labels, each plain or with .gz, in `directory`, or what some archives
 * call them, or EMNIST's digits, and reads their headers. limit == 0 uses all samples; a limit above the number of samples in the files is VGG_BAD_OPTION. */
vgg_status dataset_open(const char *directory, dataset_split split, uint32_t limit, dataset_source *source);

/* Decodes and resizes samples range.first .. of `source` into images[range.count][32][32] and labels[range.count].
 * With resize_bug only the first and the last image of the whole source are resized, the others are left zero (the
 * question's own mistake). OpenMP-parallel over images. */
vgg_status dataset_decode(const dataset_source *source, const resize_filter *filter, bool resize_bug, vgg_range range,
                          uint8_t *images, uint8_t *labels);

/* A hash of samples range.first .. of a set, each with its place, pixels and label; images and labels begin with the first of them.
 * Those of ranges that together make a set add up, modulo 2^64, to that of the set. OpenMP-parallel over images. */
uint64_t dataset_digest(const uint8_t *images, const uint8_t *labels, vgg_range range);

#endif

/* Samples to network input: gathers bytes by index and normalises them to floats. */
#ifndef VGG11_DATA_BATCH_H
#define VGG11_DATA_BATCH_H

#include <stdint.h>

#include "vgg11/base/status.h"
#include "vgg11/data/augment.h"
#include "vgg11/data/dataset.h"

/* A pixel's float value for each byte value. */
typedef struct {
    float value[256];
    double mean; /* of the training pixels as 0..1, 0 unless standardising */
    double deviation;
} normalization;

typedef struct {
    const char *name;
    const char *good_when;
    /* Fills table->value from the histogram of all training pixels (histogram[b] = how many have the value b). */
    void (*fill)(normalization *table, const uint64_t histogram[256]);
} normalization_kind;

/* Ended by a row whose name is NULL: standard ((p/255 - mean) / deviation), unit (p/255), none (p). */
extern const normalization_kind normalization_kinds[];
const normalization_kind *normalization_find(const char *name);

/* The table that a fill() left with this mean and deviation, as a checkpoint keeps them. */
void normalization_restore(normalization *table, double mean, double deviation);

/* Adds the pixels of images[count][32][32] to the histogram. Exact integers: parts may be counted apart and summed. */
void normalization_count(const uint8_t *images, uint32_t count, uint64_t histogram[256]);

/* How images of an epoch are changed: a function of seed, epoch and the image's place in its file alone, whatever rank asks. */
typedef struct {
    const augmentation *kind; /* a row */
    uint64_t seed;
    uint32_t epoch;
} batch_augmentation;

/* input[count][32][32][1] and labels[count] of samples order[0..count-1], changed as `augment` says unless it is NULL. OpenMP-parallel. */
void batch_fill_augmented(const dataset *set, const normalization *table, const batch_augmentation *augment, const uint32_t *order,
                          uint32_t count, float *input, uint8_t *labels);

/* The same with images as they are. */
void batch_fill(const dataset *set, const normalization *table, const uint32_t *order, uint32_t count, float *input,
                uint8_t *labels);

#endif

#include "vgg11/data/batch.h"

#include <math.h>
#include <string.h>

#include "vgg11/base/random.h"
#include "vgg11/base/table.h"

void normalization_restore(normalization *table, double mean, double deviation)
{
    table->mean = mean;
    table->deviation = deviation;
    for (int b = 0; b < 256; b++) table->value[b] = (float)((b / 255.0 - mean) / deviation);
}

/* Sums in integers, so that ranks that added their parts in any order have the same bits. Pixels that are all alike have no
 * deviation to divide by; they are only shifted. */
static void fill_standard(normalization *table, const uint64_t histogram[256])
{
    __extension__ unsigned __int128 count = 0, sum = 0, squares = 0;
    for (unsigned b = 0; b < 256; b++) {
        count += histogram[b];
        sum += (unsigned __int128)histogram[b] * b;
        squares += (unsigned __int128)histogram[b] * (b * b);
    }
    if (count == 0) count = 1;
    double mean = (double)sum / (double)count;
    double deviation = sqrt((double)(count * squares - sum * sum)) / (double)count;
    normalization_restore(table, mean / 255.0, deviation > 0 ? deviation / 255.0 : 1.0);
}

static void fill_unit(normalization *table, const uint64_t histogram[256])
{
    (void)histogram;
    normalization_restore(table, 0.0, 1.0);
}

static void fill_none(normalization *table, const uint64_t histogram[256])
{
    (void)histogram;
    normalization_restore(table, 0.0, 1.0 / 255.0);
    for (int b = 0; b < 256; b++) table->value[b] = (float)b;
}

const normalization_kind normalization_kinds[] = {
    {"standard", "the default: mean 0 and deviation 1 over the training pixels, which He initialisation expects", fill_standard},
    {"unit", "pixels from 0 to 1 are wanted, as most tutorials have them", fill_unit},
    {"none", "raw bytes 0 to 255 are wanted, to see what they do to training", fill_none},
    {NULL, NULL, NULL},
};

const normalization_kind *normalization_find(const char *name)
{
    return table_find(normalization_kinds, sizeof *normalization_kinds, name);
}

/* Four pixels in five are black: eight at a time when they all are. */
void normalization_count(const uint8_t *images, uint32_t count, uint64_t histogram[256])
{
    size_t bytes = (size_t)count * DATASET_PIXELS;
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        uint64_t pixels;
        memcpy(&pixels, images + i, sizeof pixels);
        if (pixels == 0)
            histogram[0] += sizeof pixels;
        else
            for (size_t k = 0; k < sizeof pixels; k++) histogram[images[i + k]]++;
    }
}

/* The image as it is, or, in `changed`, as `augment` changes it. */
static const uint8_t *image_of(const dataset *set, uint32_t place, const batch_augmentation *augment,
                               uint8_t changed[DATASET_PIXELS])
{
    const uint8_t *image = set->images + (size_t)place * DATASET_PIXELS;
    if (!augment || !augment->kind->apply) return image;
    uint32_t random[4];
    random_block(augment->seed, RANDOM_STREAM_AUGMENT + augment->epoch, place, random);
    augment->kind->apply(random, image, changed);
    return changed;
}

void batch_fill_augmented(const dataset *set, const normalization *table, const batch_augmentation *augment, const uint32_t *order,
                          uint32_t count, float *input, uint8_t *labels)
{
#pragma omp parallel for schedule(static)
    for (uint32_t i = 0; i < count; i++) {
        uint8_t changed[DATASET_PIXELS];
        uint32_t place = dataset_place(set, order[i]);
        const uint8_t *image = image_of(set, place, augment, changed);
        float *row = input + (size_t)i * DATASET_PIXELS;
        for (int p = 0; p < DATASET_PIXELS; p++) row[p] = table->value[image[p]];
        labels[i] = set->labels[place];
    }
}

void batch_fill(const dataset *set, const normalization *table, const uint32_t *order, uint32_t count, float *input,
                uint8_t *labels)
{
    batch_fill_augmented(set, table, NULL, order, count, input, labels);
}

#include "vgg11/base/hash.h"
#include "vgg11/data/dataset.h"

typedef struct {
    uint64_t index;
    uint64_t pixels;
    uint64_t label;
} sample_digest;

uint64_t dataset_digest(const uint8_t *images, const uint8_t *labels, vgg_range range)
{
    uint64_t sum = 0;
#pragma omp parallel for schedule(static) reduction(+ : sum)
    for (size_t i = 0; i < range.count; i++) {
        const sample_digest sample = {range.first + i, hash_bits(images + i * DATASET_PIXELS, DATASET_PIXELS), labels[i]};
        sum += hash_bits(&sample, sizeof sample);
    }
    return sum;
}

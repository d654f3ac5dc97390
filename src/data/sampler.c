#include "vgg11/data/sampler.h"

#include "vgg11/base/random.h"

void sampler_order(uint64_t seed, uint32_t epoch, bool shuffle, uint32_t *order, uint32_t count)
{
    if (shuffle) {
        random_permutation(seed, RANDOM_STREAM_EPOCH + epoch, order, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) order[i] = i;
}

void sampler_split(uint32_t *places, uint32_t count) { random_permutation(0, RANDOM_STREAM_VALIDATION, places, count); }

uint32_t sampler_steps(uint32_t count, uint32_t batch_size) { return count / batch_size + (count % batch_size != 0); }

vgg_range sampler_batch(uint32_t count, uint32_t batch_size, uint32_t step)
{
    vgg_range batch = {.first = (size_t)step * batch_size};
    if (batch.first < count) batch.count = count - batch.first < batch_size ? count - batch.first : batch_size;
    return batch;
}

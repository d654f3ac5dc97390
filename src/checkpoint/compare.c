#include "vgg11/checkpoint/compare.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "vgg11/base/memory.h"
#include "vgg11/nn/model.h"

/* Weights and velocity of one file, in one block of two flat buffers. */
static size_t block_bytes(void) { return 2 * model_flat_count() * sizeof(float); }

/* Bits, not values: 0 and -0 are unlike. */
static bool same_bits(const float *a, const float *b) { return memcmp(a, b, sizeof *a) == 0; }

static tensor_difference compare_numbers(const float *a, const float *b, size_t count)
{
    tensor_difference found = {.count = count};
    for (size_t i = 0; i < count; i++) {
        if (same_bits(&a[i], &b[i])) continue;
        if (found.unlike++ == 0) {
            found.index = i;
            found.values[0] = a[i];
            found.values[1] = b[i];
        }
        found.largest = fmax(found.largest, fabs((double)a[i] - (double)b[i]));
    }
    return found;
}

static half_difference compare_half(const float *a, const float *b, const char *prefix)
{
    half_difference half = {.tensors = 0};
    const tensor_view *views = model_tensors();
    for (int i = 0; i < MODEL_TENSORS; i++) {
        const float *numbers[2] = {a + views[i].offset, b + views[i].offset};
        if (memcmp(numbers[0], numbers[1], views[i].count * sizeof(float)) == 0) continue;
        if (half.tensors++ > 0) continue;
        half.first = compare_numbers(numbers[0], numbers[1], views[i].count);
        snprintf(half.first.name, sizeof half.first.name, "%s%s", prefix, views[i].name);
    }
    return half;
}

static vgg_status load_and_compare(const char *const paths[2], float *const blocks[2], checkpoint_state states[2],
                                   checkpoint_difference *difference)
{
    size_t flat = model_flat_count();
    for (int i = 0; i < 2; i++) VGG_TRY(checkpoint_load(paths[i], &states[i], blocks[i], blocks[i] + flat));
    difference->weights = compare_half(blocks[0], blocks[1], "");
    difference->velocity = compare_half(blocks[0] + flat, blocks[1] + flat, "velocity.");
    return VGG_OK;
}

vgg_status checkpoint_compare(const char *const paths[2], checkpoint_state states[2], checkpoint_difference *difference)
{
    void *blocks[2] = {NULL, NULL};
    memset(states, 0, 2 * sizeof *states);
    vgg_status status = vgg_map(block_bytes(), &blocks[0]);
    if (status == VGG_OK) status = vgg_map(block_bytes(), &blocks[1]);
    if (status == VGG_OK) status = load_and_compare(paths, (float *const[2]){blocks[0], blocks[1]}, states, difference);
    for (int i = 0; i < 2; i++) vgg_unmap(blocks[i], block_bytes());
    return status;
}

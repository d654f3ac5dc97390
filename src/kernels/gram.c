#include "vgg11/kernels/gram.h"

#include <stdint.h>
#include <string.h>

#include "vgg11/base/integers.h"

/* A tile of 4 x 4 sums in registers keeps the multipliers busy: 8 loads for 16 multiply-adds. DEPTH channels of two blocks of
 * images stay in the level-1 cache while they are multiplied. */
enum { TILE = 4, DEPTH = 256 };

typedef double lanes __attribute__((vector_size(GRAM_LANES * sizeof(double))));
typedef float float_lanes __attribute__((vector_size(GRAM_LANES * sizeof(float))));
typedef uint32_t word_lanes __attribute__((vector_size(GRAM_LANES * sizeof(uint32_t))));
typedef uint16_t half_lanes __attribute__((vector_size(GRAM_LANES * sizeof(uint16_t))));

#define INLINE static inline __attribute__((always_inline))

INLINE void load(const void *row, size_t channel, bool bf16, lanes *out)
{
    float_lanes numbers;
    if (bf16) {
        half_lanes halves;
        memcpy(&halves, (const uint16_t *)row + channel, sizeof halves);
        numbers = (float_lanes)(__builtin_convertvector(halves, word_lanes) << 16);
    } else {
        memcpy(&numbers, (const float *)row + channel, sizeof numbers);
    }
    *out = __builtin_convertvector(numbers, lanes);
}

static double sum_lanes(const lanes *v)
{
    return (((*v)[0] + (*v)[1]) + ((*v)[2] + (*v)[3])) + (((*v)[4] + (*v)[5]) + ((*v)[6] + (*v)[7]));
}

/* Adds channels [from, end) to TILE x TILE products, whose rows are GRAM_BLOCK apart. */
INLINE void multiply_tile(const void *const *a, const void *const *b, size_t from, size_t end, bool bf16, double *products)
{
    lanes sums[TILE][TILE] = {{{0}}};
    for (size_t c = from; c < end; c += GRAM_LANES) {
        lanes of_a, of_b[TILE];
        for (int j = 0; j < TILE; j++) load(b[j], c, bf16, &of_b[j]);
        for (int i = 0; i < TILE; i++) {
            load(a[i], c, bf16, &of_a);
            for (int j = 0; j < TILE; j++) sums[i][j] += of_a * of_b[j];
        }
    }
    for (int i = 0; i < TILE; i++)
        for (int j = 0; j < TILE; j++) products[i * GRAM_BLOCK + j] += sum_lanes(&sums[i][j]);
}

INLINE void multiply_blocks(const void *const *a, const void *const *b, size_t channels, bool bf16, double (*products)[GRAM_BLOCK])
{
    for (size_t from = 0; from < channels; from += DEPTH) {
        size_t end = size_min(channels, from + DEPTH);
        for (int i = 0; i < GRAM_BLOCK; i += TILE)
            for (int j = 0; j < GRAM_BLOCK; j += TILE) multiply_tile(a + i, b + j, from, end, bf16, &products[i][j]);
    }
}

/* Where there are fewer images than a block holds, the last one stands in for the rest, whose products nobody reads. */
static void point_at_rows(const gram_rows *images, const void *rows[GRAM_BLOCK])
{
    for (size_t i = 0; i < GRAM_BLOCK; i++) {
        size_t row = i < images->count ? i : images->count - 1;
        rows[i] = (const char *)images->first + row * images->stride_bytes;
    }
}

/* Static, because clang 14 calls a clone by another name than the one that other files look for. */
__attribute__((target_clones("avx512f", "avx2", "default"))) static void multiply_rows(const void *const *a, const void *const *b,
                                                                                       size_t channels, bool bf16,
                                                                                       double (*products)[GRAM_BLOCK])
{
    if (bf16)
        multiply_blocks(a, b, channels, true, products);
    else
        multiply_blocks(a, b, channels, false, products);
}

void gram_products(const gram_rows *a, const gram_rows *b, size_t channels, double products[GRAM_BLOCK][GRAM_BLOCK])
{
    const void *rows_a[GRAM_BLOCK], *rows_b[GRAM_BLOCK];
    point_at_rows(a, rows_a);
    point_at_rows(b, rows_b);
    memset(products, 0, sizeof(double[GRAM_BLOCK][GRAM_BLOCK]));
    multiply_rows(rows_a, rows_b, channels, a->bf16, products);
}

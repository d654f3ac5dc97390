/* Template: the gemm tile and the packing of its operands, for vectors of SIMD_WIDTH floats and tiles of SIMD_ROWS rows. Included
 * once by the file of each instruction set. */
#include <string.h>

#include "vgg11/base/integers.h"

#define SIMD_INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define SIMD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SIMD_UNROLL _Pragma("GCC unroll 16")
#endif

/* Words are floats, unless the instruction set's file says that they are pairs of bfloat16. `numbers` are SIMD_PER_WORD vectors,
 * which become one vector of words: SIMD_BESIDE puts neighbours in a vector into a word, SIMD_PAIRED numbers at the same place of
 * the vectors. */
#ifndef SIMD_PER_WORD
#define SIMD_PER_WORD 1
#define SIMD_MULTIPLY_ADD(sum, factor, b) ((sum) + (factor) * (b))
#define SIMD_BESIDE(numbers) (numbers)[0]
#define SIMD_PAIRED(numbers) (numbers)[0]
#endif

enum { SIMD_PANEL = 2 * SIMD_WIDTH };

/* Loads and stores may be unaligned: on processors with these instruction sets that costs nothing where the address is aligned. */
typedef float simd_vector __attribute__((vector_size(SIMD_WIDTH * 4), aligned(4), may_alias));
typedef float simd_value __attribute__((vector_size(SIMD_WIDTH * 4)));
typedef int simd_indices __attribute__((vector_size(SIMD_WIDTH * 4)));

SIMD_INLINE simd_value load(const float *from) { return *(const simd_vector *)from; }
SIMD_INLINE void store(float *to, simd_value value) { *(simd_vector *)to = value; }

SIMD_INLINE simd_value load_part(const float *from, size_t count)
{
    simd_value value = {0};
    memcpy(&value, from, count * sizeof *from);
    return value;
}

SIMD_INLINE void store_part(float *to, simd_value value, size_t count) { memcpy(to, &value, count * sizeof *to); }

/* NaN compares false, so that NaN in x stays, and NaN in `positive` lets x pass. */
SIMD_INLINE simd_value rectify(simd_value x) { return (simd_value)((simd_indices)x & ~(x < 0.0f)); }
SIMD_INLINE simd_value keep_where(simd_value x, simd_value positive) { return (simd_value)((simd_indices)x & ~(positive <= 0.0f)); }

typedef enum { FORM_ROWS, FORM_ROWS_FETCHING, FORM_ROWS_PACKING, FORM_COLUMNS, FORM_COLUMNS_FETCHING } tile_form;

SIMD_INLINE void fetch(const gemm_prefetch *next, size_t k)
{
    const float *from = next->first + (k & next->row_mask) * next->stride + (k >> next->row_shift) * SIMD_PANEL;
    for (int i = 0; i < SIMD_PANEL; i += 16) __builtin_prefetch(from + i, 0, 2);
    __builtin_prefetch(from + SIMD_PANEL - 1, 0, 2); /* a row that is not aligned touches one more line */
}

/* Row `index` of the rows of both arrays, one array after the other. */
SIMD_INLINE void fetch_row(const gemm_prefetch_rows *rows, size_t index)
{
    const float *from = index < rows->count ? rows->first[0] + index * rows->stride
                                            : rows->first[1] + (index - rows->count) * rows->stride;
    for (int i = 0; i < SIMD_PANEL; i += 16) __builtin_prefetch(from + i, 0, 2);
    __builtin_prefetch(from + SIMD_PANEL - 1, 0, 2); /* a row that is not aligned touches one more line */
}

SIMD_INLINE void tile_store(const gemm_tile *tile, const int rows, simd_value sum[][2])
{
    SIMD_UNROLL for (int m = 0; m < rows; m++)
    {
        float *c = tile->c + (size_t)m * tile->c_stride;
        if (tile->stream) {
            SIMD_STREAM(c, sum[m][0]);
            SIMD_STREAM(c + SIMD_WIDTH, sum[m][1]);
        } else {
            store(c, sum[m][0]);
            store(c + SIMD_WIDTH, sum[m][1]);
        }
    }
}

/* `rows` and `form` are constants where this is inlined, so that sum[][] stays in registers. */
SIMD_INLINE void multiply(const gemm_tile *tile, const int rows, const tile_form form)
{
    simd_value sum[SIMD_ROWS][2];
    SIMD_UNROLL for (int m = 0; m < rows; m++)
    {
        const float *c = tile->c + (size_t)m * tile->c_stride;
        sum[m][0] = tile->accumulate ? load(c) : (simd_value){0};
        sum[m][1] = tile->accumulate ? load(c + SIMD_WIDTH) : (simd_value){0};
    }
    const size_t stride = tile->a_stride;
    const float *columns = tile->a;
    const float *base[(SIMD_ROWS + 2) / 3]; /* every third row: an x86 address adds 0, 1 or 2 strides to a pointer */
    SIMD_UNROLL for (int m = 0; m < rows; m += 3) base[m / 3] = tile->a + (size_t)m * stride;
    const float *b = form == FORM_ROWS_PACKING ? tile->unpacked : tile->b;
    float *packed = tile->packed;
    const bool by_columns = form == FORM_COLUMNS || form == FORM_COLUMNS_FETCHING;
    const size_t fetches = form == FORM_COLUMNS_FETCHING ? 2 * tile->next_rows.count : 0;
    const size_t fetches_a_step = fetches > 0 ? size_divide_up(fetches, tile->depth) : 0;
    size_t fetched = 0;
    for (size_t k = 0; k < tile->depth; k++) {
        simd_value b0 = load(b);
        simd_value b1 = load(b + SIMD_WIDTH);
        if (form == FORM_ROWS_FETCHING || form == FORM_ROWS_PACKING) fetch(&tile->next, k);
        if (form == FORM_COLUMNS_FETCHING)
            for (size_t last = fetched + fetches_a_step; fetched < last && fetched < fetches; fetched++)
                fetch_row(&tile->next_rows, fetched);
        if (form == FORM_ROWS_PACKING) {
            store(packed, b0);
            store(packed + SIMD_WIDTH, b1);
            packed += SIMD_PANEL;
        }
        SIMD_UNROLL for (int m = 0; m < rows; m++)
        {
            float factor = by_columns ? columns[m] : base[m / 3][(size_t)(m % 3) * stride];
            sum[m][0] = SIMD_MULTIPLY_ADD(sum[m][0], factor, b0);
            sum[m][1] = SIMD_MULTIPLY_ADD(sum[m][1], factor, b1);
        }
        if (by_columns) columns += stride;
        SIMD_UNROLL for (int m = 0; m < rows; m += 3) base[m / 3]++;
        b += form == FORM_ROWS_PACKING ? tile->unpacked_stride : SIMD_PANEL;
    }
    tile_store(tile, rows, sum);
}

#define SIMD_TILE(rows)                                                                                      \
    static void by_rows_##rows(const gemm_tile *tile) { multiply(tile, rows, FORM_ROWS); }                   \
    static void by_rows_fetching_##rows(const gemm_tile *tile) { multiply(tile, rows, FORM_ROWS_FETCHING); } \
    static void by_rows_packing_##rows(const gemm_tile *tile) { multiply(tile, rows, FORM_ROWS_PACKING); }   \
    static void by_columns_##rows(const gemm_tile *tile) { multiply(tile, rows, FORM_COLUMNS); }             \
    static void by_columns_fetching_##rows(const gemm_tile *tile) { multiply(tile, rows, FORM_COLUMNS_FETCHING); }

static void finish_streams(void) { SIMD_FENCE(); }

/* Numbers of two vectors in another order, which is a list of indices. clang lacks the one, and gcc before its version 12 the other. */
#ifdef __clang__
#define SIMD_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SIMD_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (simd_indices){__VA_ARGS__})
#endif

/* Transposes SIMD_WIDTH rows in registers: each level interleaves the upper half of the rows with the lower, which moves one bit of
 * an element's row number into its column number and one bit back (Stone, "Parallel processing with the perfect shuffle", 1971). */
SIMD_INLINE void transpose(simd_value row[SIMD_WIDTH])
{
    SIMD_UNROLL for (int level = 1; level < SIMD_WIDTH; level *= 2)
    {
        simd_value next[SIMD_WIDTH];
        SIMD_UNROLL for (int i = 0; i < SIMD_WIDTH / 2; i++)
        {
            next[2 * i] = SIMD_SHUFFLE(row[i], row[i + SIMD_WIDTH / 2], SIMD_INTERLEAVE_LOW);
            next[2 * i + 1] = SIMD_SHUFFLE(row[i], row[i + SIMD_WIDTH / 2], SIMD_INTERLEAVE_HIGH);
        }
        SIMD_UNROLL for (int i = 0; i < SIMD_WIDTH; i++) row[i] = next[i];
    }
}

static void pack_transposed_square(float *packed, const float *source, size_t stride)
{
    simd_value row[SIMD_WIDTH];
    SIMD_UNROLL for (int i = 0; i < SIMD_WIDTH; i++) row[i] = load(source + (size_t)i * stride);
    transpose(row);
    SIMD_UNROLL for (int i = 0; i < SIMD_WIDTH; i++) store(packed + i * SIMD_PANEL, row[i]);
}

static void pack_transposed(float *packed, const float *source, size_t stride, size_t depth, size_t columns)
{
    size_t whole_depth = depth - depth % SIMD_WIDTH;
    size_t whole_columns = columns - columns % SIMD_WIDTH;
    for (size_t c = 0; c < whole_columns; c += SIMD_WIDTH)
        for (size_t k = 0; k < whole_depth; k += SIMD_WIDTH)
            pack_transposed_square(packed + k * SIMD_PANEL + c, source + c * stride + k, stride);
    for (size_t c = 0; c < SIMD_PANEL; c++)
        for (size_t k = c < whole_columns ? whole_depth : 0; k < depth; k++)
            packed[k * SIMD_PANEL + c] = c < columns ? source[c * stride + k] : 0.0f;
}

static void pack(float *packed, const float *source, size_t stride, size_t depth, size_t columns)
{
    if (columns == SIMD_PANEL) {
        for (size_t k = 0; k < depth; k++) {
            store(packed + k * SIMD_PANEL, load(source + k * stride));
            store(packed + k * SIMD_PANEL + SIMD_WIDTH, load(source + k * stride + SIMD_WIDTH));
        }
        return;
    }
    for (size_t k = 0; k < depth; k++) {
        memset(packed + k * SIMD_PANEL, 0, SIMD_PANEL * sizeof *packed);
        memcpy(packed + k * SIMD_PANEL, source + k * stride, columns * sizeof *packed);
    }
}

static void copy(float *y, const float *x, size_t count, bool relu)
{
    size_t i = 0;
    for (; i + SIMD_WIDTH <= count; i += SIMD_WIDTH) store(y + i, relu ? rectify(load(x + i)) : load(x + i));
    simd_value rest = load_part(x + i, count - i);
    store_part(y + i, relu ? rectify(rest) : rest, count - i);
}

static void copy_where(float *y, const float *x, const float *positive, size_t count)
{
    size_t i = 0;
    for (; i + SIMD_WIDTH <= count; i += SIMD_WIDTH) store(y + i, keep_where(load(x + i), load(positive + i)));
    store_part(y + i, keep_where(load_part(x + i, count - i), load_part(positive + i, count - i)), count - i);
}

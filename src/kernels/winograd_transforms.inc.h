/* Template: the transforms of Winograd's convolution algorithms, a vector of channels at a time.
 *
 * An algorithm in one dimension consists of three small matrices, the input transform B' (elements x inputs), the filter transform
 * G (elements x 3) and the output transform A' (tile x elements): y = A' ((G w) . (B' x)), with . for the product element by
 * element. In two dimensions each is applied to columns and then to rows. The weight gradient is dw = G' ((A dy) . (B' x)). Each
 * matrix is written out as a function of one line, a column or a row, since most of its entries are 0 or 1.
 */

typedef void (*line_transform)(simd_value *to, const simd_value *from);

enum { ELEMENTS_MAX = 6, TAPS = 3 };

/* F(4x4,3x3), Lavin & Gray, "Fast algorithms for convolutional neural networks", arXiv:1509.09308, section 4.3, but interpolated at
 * the points 0, a, -a, b, -b and infinity with a = 3/4 and b = 3/2 instead of 1 and 2: as many operations, and less than half the
 * error, since no power of a point is far from 1 (cf. Barabasz et al., arXiv:1803.10986). */
static const float NEAR = 0.75f, FAR = 1.5f;
static const float NEAR_2 = 0.75f * 0.75f, FAR_2 = 1.5f * 1.5f;
/* Factors of the rows of G: one over the product of the differences between a point and the others. */
static const float AT_ZERO = 1.0f / (0.75f * 0.75f * 1.5f * 1.5f);
static const float AT_NEAR = 1.0f / (2 * 0.75f * 0.75f * (0.75f * 0.75f - 1.5f * 1.5f));
static const float AT_FAR = 1.0f / (2 * 1.5f * 1.5f * (1.5f * 1.5f - 0.75f * 0.75f));

SIMD_INLINE void winograd_inputs(simd_value *v, const simd_value *x)
{
    simd_value near = x[4] - FAR_2 * x[2], near_odd = NEAR * (x[3] - FAR_2 * x[1]);
    simd_value far = x[4] - NEAR_2 * x[2], far_odd = FAR * (x[3] - NEAR_2 * x[1]);
    v[0] = NEAR_2 * FAR_2 * x[0] - (NEAR_2 + FAR_2) * x[2] + x[4];
    v[1] = near + near_odd;
    v[2] = near - near_odd;
    v[3] = far + far_odd;
    v[4] = far - far_odd;
    v[5] = NEAR_2 * FAR_2 * x[1] - (NEAR_2 + FAR_2) * x[3] + x[5];
}

SIMD_INLINE void winograd_kernel(simd_value *u, const simd_value *w)
{
    simd_value near = AT_NEAR * w[0] + AT_NEAR * NEAR_2 * w[2], near_odd = AT_NEAR * NEAR * w[1];
    simd_value far = AT_FAR * w[0] + AT_FAR * FAR_2 * w[2], far_odd = AT_FAR * FAR * w[1];
    u[0] = AT_ZERO * w[0];
    u[1] = near + near_odd;
    u[2] = near - near_odd;
    u[3] = far + far_odd;
    u[4] = far - far_odd;
    u[5] = w[2];
}

SIMD_INLINE void winograd_outputs(simd_value *y, const simd_value *m)
{
    simd_value near = m[1] + m[2], near_odd = m[1] - m[2], far = m[3] + m[4], far_odd = m[3] - m[4];
    y[0] = m[0] + near + far;
    y[1] = NEAR * near_odd + FAR * far_odd;
    y[2] = NEAR_2 * near + FAR_2 * far;
    y[3] = NEAR_2 * NEAR * near_odd + FAR_2 * FAR * far_odd + m[5];
}

SIMD_INLINE void winograd_outputs_transposed(simd_value *z, const simd_value *dy)
{
    simd_value near = dy[0] + NEAR_2 * dy[2], near_odd = NEAR * dy[1] + NEAR_2 * NEAR * dy[3];
    simd_value far = dy[0] + FAR_2 * dy[2], far_odd = FAR * dy[1] + FAR_2 * FAR * dy[3];
    z[0] = dy[0];
    z[1] = near + near_odd;
    z[2] = near - near_odd;
    z[3] = far + far_odd;
    z[4] = far - far_odd;
    z[5] = dy[3];
}

SIMD_INLINE void winograd_kernel_transposed(simd_value *dw, const simd_value *du)
{
    simd_value near = du[1] + du[2], near_odd = du[1] - du[2], far = du[3] + du[4], far_odd = du[3] - du[4];
    dw[0] = AT_ZERO * du[0] + AT_NEAR * near + AT_FAR * far;
    dw[1] = AT_NEAR * NEAR * near_odd + AT_FAR * FAR * far_odd;
    dw[2] = AT_NEAR * NEAR_2 * near + AT_FAR * FAR_2 * far + du[5];
}

/* A whole map of two pixels along a side. With zeros around it y0 = w1 x0 + w2 x1 and y1 = w0 x0 + w1 x1: a 2x2 Toeplitz matrix
 * times a vector, which takes three products, not four (Winograd, "Arithmetic complexity of computations", 1980). */
SIMD_INLINE void winograd_2x2_inputs(simd_value *v, const simd_value *x)
{
    v[0] = x[0] + x[1];
    v[1] = x[1];
    v[2] = x[0];
}

SIMD_INLINE void winograd_2x2_kernel(simd_value *u, const simd_value *w)
{
    u[0] = w[1];
    u[1] = w[2] - w[1];
    u[2] = w[0] - w[1];
}

SIMD_INLINE void winograd_2x2_outputs(simd_value *y, const simd_value *m)
{
    y[0] = m[0] + m[1];
    y[1] = m[0] + m[2];
}

SIMD_INLINE void winograd_2x2_outputs_transposed(simd_value *z, const simd_value *dy)
{
    z[0] = dy[0] + dy[1];
    z[1] = dy[0];
    z[2] = dy[1];
}

SIMD_INLINE void winograd_2x2_kernel_transposed(simd_value *dw, const simd_value *du)
{
    dw[0] = du[2];
    dw[1] = du[0] - du[1] - du[2];
    dw[2] = du[1];
}

/* to[m][m] = M from[n][n] M', where `line` multiplies the m x n matrix M with one column. */
SIMD_INLINE void transform_square(simd_value *to, const simd_value *from, const int m, const int n, const line_transform line)
{
    simd_value half[ELEMENTS_MAX][ELEMENTS_MAX]; /* [column][row] */
    SIMD_UNROLL for (int j = 0; j < n; j++)
    {
        simd_value column[ELEMENTS_MAX];
        SIMD_UNROLL for (int i = 0; i < n; i++) column[i] = from[i * n + j];
        line(half[j], column);
    }
    SIMD_UNROLL for (int i = 0; i < m; i++)
    {
        simd_value row[ELEMENTS_MAX];
        SIMD_UNROLL for (int j = 0; j < n; j++) row[j] = half[j][i];
        line(to + i * m, row);
    }
}

/* Maps are fp32, except that a table of bfloat16 pairs also takes bfloat16 ones. A constant where words are floats. */
SIMD_INLINE bool is_bf16(const map_tile *tile) { return SIMD_PER_WORD > 1 && tile->bf16; }

SIMD_INLINE size_t map_bytes(bool bf16, size_t numbers) { return numbers * (bf16 ? sizeof(uint16_t) : sizeof(float)); }

SIMD_INLINE simd_value load_map(const void *map, bool bf16, size_t at, size_t count)
{
    return bf16 ? load_halves((const uint16_t *)map + at, count) : load_most((const float *)map + at, count);
}

SIMD_INLINE void store_map(void *map, bool bf16, size_t at, simd_value value, size_t count)
{
    if (bf16)
        store_halves((uint16_t *)map + at, value, count);
    else
        store_most((float *)map + at, value, count);
}

/* Where the pixels of a square lie whose upper left one is the tile's; pixels outside the map point at zeros. Of a pooled map, a
 * pixel points at its window's value, and is zero unless its place in the window is the window's argmax. */
typedef struct {
    const void *pixel[ELEMENTS_MAX * ELEMENTS_MAX];
    const uint8_t *argmax[ELEMENTS_MAX * ELEMENTS_MAX];
    int place[ELEMENTS_MAX * ELEMENTS_MAX];
} input_tile;

SIMD_INLINE void locate_square(input_tile *square, const map_tile *tile, const int size)
{
    static const float zeros[TRANSFORM_CHANNELS_MAX];
    const int shift = tile->pooled ? 1 : 0;
    SIMD_UNROLL for (int i = 0; i < size; i++)
    {
        int row = tile->row + i;
        bool row_inside = row >= 0 && row < tile->side;
        SIMD_UNROLL for (int j = 0; j < size; j++)
        {
            int column = tile->column + j, p = i * size + j;
            bool inside = row_inside && column >= 0 && column < tile->side;
            size_t pixel = inside ? (size_t)(row >> shift) * (size_t)(tile->side >> shift) + (size_t)(column >> shift) : 0;
            const char *map = tile->map;
            square->pixel[p] = inside ? map + map_bytes(is_bf16(tile), pixel * tile->channels) : (const char *)zeros;
            square->argmax[p] = tile->pooled ? tile->pool_argmax + pixel * tile->channels : NULL;
            square->place[p] = 2 * (row & 1) + (column & 1);
        }
    }
}

/* Loads `count` channels of each pixel. `bf16` is a constant where this is inlined, and so is `count` where it is SIMD_WIDTH. */
SIMD_INLINE void load_square(simd_value *to, const input_tile *square, bool bf16, size_t channel, size_t count, bool pooled,
                             const int size)
{
    if (pooled) {
        SIMD_UNROLL for (int i = 0; i < size * size; i++)
        {
            simd_indices here = load_argmax(square->argmax[i] + channel, count) == square->place[i];
            to[i] = (simd_value)((simd_indices)load_map(square->pixel[i], bf16, channel, count) & here);
        }
    } else {
        SIMD_UNROLL for (int i = 0; i < size * size; i++) to[i] = load_map(square->pixel[i], bf16, channel, count);
    }
}

SIMD_INLINE void load_tile(simd_value *to, const input_tile *at, const map_tile *tile, bool bf16, size_t c, const int size)
{
    size_t left = tile->count > c ? vector_count(tile->count - c) : 0;
    SIMD_UNROLL for (int p = 0; p < size * size; p++)
        __builtin_prefetch((const char *)at->pixel[p] + map_bytes(bf16, c + SIMD_WIDTH));
    if (left == SIMD_WIDTH)
        load_square(to, at, bf16, c, SIMD_WIDTH, tile->pooled, size);
    else
        load_square(to, at, bf16, c, left, tile->pooled, size);
}

SIMD_INLINE void transform_tile(simd_value *result, const input_tile *at, const map_tile *tile, size_t c, const int size,
                                const int count, const line_transform line)
{
    simd_value square[ELEMENTS_MAX * ELEMENTS_MAX];
    if (is_bf16(tile))
        load_tile(square, at, tile, true, c, size);
    else
        load_tile(square, at, tile, false, c, size);
    transform_square(result, square, count, size, line);
}

/* Which numbers share a word that holds several: neighbouring channels of a tile, or one channel of several tiles. */
typedef enum { WORDS_OF_CHANNELS, WORDS_OF_TILES } simd_words;

/* Stores the results of SIMD_PER_WORD transforms, element p of all of them as one vector of words. */
SIMD_INLINE void store_words(float *elements, size_t element_stride, const simd_value results[][ELEMENTS_MAX * ELEMENTS_MAX],
                             const int count, const simd_words words)
{
    SIMD_UNROLL for (int p = 0; p < count * count; p++)
    {
        simd_value numbers[SIMD_PER_WORD];
        SIMD_UNROLL for (int i = 0; i < SIMD_PER_WORD; i++) numbers[i] = results[i][p];
        store(elements + (size_t)p * element_stride, words == WORDS_OF_CHANNELS ? SIMD_BESIDE(numbers) : SIMD_PAIRED(numbers));
    }
}

/* Transforms one tile, or as many as a word holds: size x size pixels from its upper left one on become count x count rows of
 * `padded` words. */
SIMD_INLINE void transform_tiles(float *elements, size_t element_stride, const map_tile *tiles, size_t padded, const int size,
                                 const int count, const line_transform line, const simd_words words)
{
    const int tile_count = words == WORDS_OF_TILES ? SIMD_PER_WORD : 1;
    input_tile at[SIMD_PER_WORD];
    SIMD_UNROLL for (int i = 0; i < tile_count; i++) locate_square(&at[i], &tiles[i], size);
    for (size_t word = 0; word < padded; word += SIMD_WIDTH) {
        simd_value results[SIMD_PER_WORD][ELEMENTS_MAX * ELEMENTS_MAX];
        SIMD_UNROLL for (int p = 0; p < count * count; p++)
            __builtin_prefetch(elements + (size_t)p * element_stride + word + SIMD_WIDTH, 1);
        SIMD_UNROLL for (int i = 0; i < SIMD_PER_WORD; i++)
        {
            int tile = i % tile_count;
            size_t c = words == WORDS_OF_TILES ? word : word * SIMD_PER_WORD + (size_t)i * SIMD_WIDTH;
            transform_tile(results[i], &at[tile], &tiles[tile], c, size, count, line);
        }
        store_words(elements + word, element_stride, results, count, words);
    }
}

SIMD_INLINE void transform_filter(float *elements, size_t element_stride, const float *taps, size_t tap_stride, size_t rows,
                                  size_t row_stride, const int count, const line_transform line)
{
    for (size_t i = 0; i < size_divide_up(rows, SIMD_PER_WORD) * 2; i++) {
        simd_value results[SIMD_PER_WORD][ELEMENTS_MAX * ELEMENTS_MAX];
        SIMD_UNROLL for (size_t j = 0; j < SIMD_PER_WORD; j++)
        {
            size_t row = i / 2 * SIMD_PER_WORD + j;
            const float *first = taps + row * row_stride + i % 2 * SIMD_WIDTH;
            simd_value square[TAPS * TAPS];
            SIMD_UNROLL for (int t = 0; t < TAPS * TAPS; t++) square[t] = row < rows ? load(first + (size_t)t * tap_stride)
                                                                                     : (simd_value){0};
            transform_square(results[j], square, count, TAPS, line);
        }
        store_words(elements + i * SIMD_WIDTH, element_stride, results, count, WORDS_OF_TILES);
    }
}

SIMD_INLINE void store_square(const map_tile *tile, const tile_epilogue *output, size_t channel, const simd_value *from,
                              const int size, size_t count)
{
    const bool bf16 = is_bf16(tile);
    SIMD_UNROLL for (int i = 0; i < size * size; i++)
    {
        int row = tile->row + i / size, column = tile->column + i % size;
        if (row >= tile->side || column >= tile->side) continue;
        size_t at = ((size_t)row * (size_t)tile->side + (size_t)column) * tile->channels + channel;
        simd_value value = output->positive ? keep_where(from[i], load_map(output->positive, bf16, at, count)) : from[i];
        store_map(output->map, bf16, at, value, count);
    }
}

SIMD_INLINE void store_pooled(const map_tile *tile, const tile_epilogue *output, size_t channel, const simd_value *from,
                              const int size, size_t count)
{
    SIMD_UNROLL for (int i = 0; i < size * size / 4; i++)
    {
        int row = tile->row / 2 + i / (size / 2), column = tile->column / 2 + i % (size / 2);
        if (row >= tile->side / 2 || column >= tile->side / 2) continue;
        size_t at = ((size_t)row * (size_t)(tile->side / 2) + (size_t)column) * tile->channels + channel;
        const simd_value *window = from + i / (size / 2) * 2 * size + i % (size / 2) * 2;
        simd_value values[4] = {window[0], window[1], window[size], window[size + 1]};
        simd_indices place;
        simd_value best = largest(values, &place);
        store_map(output->map, is_bf16(tile), at, best, count);
        if (output->pool_argmax) store_argmax(output->pool_argmax + at, place, count);
    }
}

SIMD_INLINE void inverse_transform(const map_tile *tile, const tile_epilogue *output, const float *elements, size_t element_stride,
                                   const int size, const int count, const line_transform line)
{
    for (size_t c = 0; c < tile->count; c += SIMD_WIDTH) {
        simd_value square[ELEMENTS_MAX * ELEMENTS_MAX];
        simd_value result[ELEMENTS_MAX * ELEMENTS_MAX];
        size_t left = vector_count(tile->count - c);
        SIMD_UNROLL for (int p = 0; p < count * count; p++) square[p] = load(elements + (size_t)p * element_stride + c);
        transform_square(result, square, size, count, line);
        simd_value offset = output->bias ? load_part(output->bias + c, left) : (simd_value){0};
        SIMD_UNROLL for (int i = 0; i < size * size; i++)
        {
            result[i] += offset;
            if (output->relu) result[i] = rectify(result[i]);
        }
        if (tile->pooled)
            store_pooled(tile, output, c, result, size, left);
        else
            store_square(tile, output, c, result, size, left);
    }
}

SIMD_INLINE void inverse_transform_filter(float *dw, size_t tap_stride, const float *elements, size_t element_stride,
                                          size_t columns, bool stream, const int count, const line_transform line)
{
    for (size_t c = 0; c < columns; c += SIMD_WIDTH) {
        simd_value square[ELEMENTS_MAX * ELEMENTS_MAX];
        simd_value result[TAPS * TAPS];
        size_t left = vector_count(columns - c);
        SIMD_UNROLL for (int p = 0; p < count * count; p++) square[p] = load(elements + (size_t)p * element_stride + c);
        transform_square(result, square, TAPS, count, line);
        SIMD_UNROLL for (int t = 0; t < TAPS * TAPS; t++)
        {
            float *to = dw + (size_t)t * tap_stride + c;
            if (stream)
                SIMD_STREAM(to, result[t]);
            else
                store_most(to, result[t], left);
        }
    }
}

#define WINOGRAD_TRANSFORMS(name, tile_side, input_side, element_count)                                                        \
    static void name##_transform_input(float *elements, size_t stride, const map_tile *tile, size_t padded)                    \
    {                                                                                                                          \
        transform_tiles(elements, stride, tile, padded, input_side, element_count, name##_inputs, WORDS_OF_CHANNELS);          \
    }                                                                                                                          \
    static void name##_transform_input_over_tiles(float *elements, size_t stride, const map_tile *tiles, size_t padded)        \
    {                                                                                                                          \
        transform_tiles(elements, stride, tiles, padded, input_side, element_count, name##_inputs, WORDS_OF_TILES);            \
    }                                                                                                                          \
    static void name##_transform_output_grad(float *elements, size_t stride, const map_tile *tiles, size_t padded)             \
    {                                                                                                                          \
        transform_tiles(elements, stride, tiles, padded, tile_side, element_count, name##_outputs_transposed, WORDS_OF_TILES); \
    }                                                                                                                          \
    static void name##_transform_filter(float *elements, size_t stride, const float *taps, size_t tap_stride, size_t rows,     \
                                        size_t row_stride)                                                                     \
    {                                                                                                                          \
        transform_filter(elements, stride, taps, tap_stride, rows, row_stride, element_count, name##_kernel);                  \
    }                                                                                                                          \
    static void name##_inverse_transform_output(const map_tile *tile, const tile_epilogue *output, const float *elements,      \
                                                size_t stride)                                                                 \
    {                                                                                                                          \
        inverse_transform(tile, output, elements, stride, tile_side, element_count, name##_outputs);                           \
    }                                                                                                                          \
    static void name##_inverse_transform_filter(float *dw, size_t tap_stride, const float *elements, size_t stride,            \
                                                size_t columns, bool stream)                                                   \
    {                                                                                                                          \
        inverse_transform_filter(dw, tap_stride, elements, stride, columns, stream, element_count, name##_kernel_transposed);  \
    }

WINOGRAD_TRANSFORMS(winograd, 4, 6, 6)
WINOGRAD_TRANSFORMS(winograd_2x2, 2, 2, 3)

#define WINOGRAD_TRANSFORMS_ROW(name, tile_side, input_margin, element_count)                                                     \
    {                                                                                                                             \
        .kernels = &SIMD_TABLE, .tile = tile_side, .margin = input_margin, .elements = (element_count) * (element_count),         \
        .transform_input = name##_transform_input, .transform_input_over_tiles = name##_transform_input_over_tiles,               \
        .transform_output_grad = name##_transform_output_grad, .transform_filter = name##_transform_filter,                       \
        .inverse_transform_output = name##_inverse_transform_output, .inverse_transform_filter = name##_inverse_transform_filter, \
    }

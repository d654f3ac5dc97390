/* Template of the kernels in vgg11/kernels/amx.h: AMX_KERNELS names the table. */
#include "vgg11/kernels/amx.h"
#include "kernels/amx_vectors.h"

static void begin(void)
{
    const amx_configuration whole = amx_whole_tiles();
    AMX_CONFIGURE(&whole);
}

static void end(void) { AMX_RELEASE(); }

/* Tile registers 0..3 hold sums, 4 and 5 rows of A, 6 and 7 columns of B. */
AMX_INLINE void load_sums(const amx_product *p, bool two_rows, bool two_columns)
{
    size_t stride = p->sums_stride * sizeof(float);
    const float *second = p->sums + AMX_ROWS * p->sums_stride;
    if (p->accumulate) {
        AMX_LOAD(0, p->sums, stride);
        if (two_columns) AMX_LOAD(1, p->sums + AMX_ROWS, stride);
        if (two_rows) AMX_LOAD(2, second, stride);
        if (two_rows && two_columns) AMX_LOAD(3, second + AMX_ROWS, stride);
        return;
    }
    AMX_ZERO(0);
    if (two_columns) AMX_ZERO(1);
    if (two_rows) AMX_ZERO(2);
    if (two_rows && two_columns) AMX_ZERO(3);
}

AMX_INLINE void store_sums(const amx_product *p, bool two_rows, bool two_columns)
{
    size_t stride = p->sums_stride * sizeof(float);
    float *second = p->sums + AMX_ROWS * p->sums_stride;
    AMX_STORE(0, p->sums, stride);
    if (two_columns) AMX_STORE(1, p->sums + AMX_ROWS, stride);
    if (two_rows) AMX_STORE(2, second, stride);
    if (two_rows && two_columns) AMX_STORE(3, second + AMX_ROWS, stride);
}

AMX_INLINE void prefetch_lines(amx_prefetch *next)
{
    for (int i = 0; i < next->lines_a_step && next->row < next->rows; i++) {
        prefetch_line(next->first + (size_t)next->row * next->stride + (size_t)next->column * VECTOR_FLOATS);
        if (++next->column < next->width) continue;
        next->column = 0;
        next->row++;
    }
}

AMX_INLINE void multiply_steps(const amx_product *p, const bf16 *a, const bf16 *b, bool two_rows, bool two_columns)
{
    const size_t panel_row = AMX_BLOCK * 2 * sizeof(bf16);
    for (int step = 0; step < p->steps; step++, a += AMX_TILE_ELEMENTS, b += AMX_PANEL_STEP) {
        AMX_LOAD(6, b, panel_row);
        AMX_LOAD(4, a, AMX_ROW_BYTES);
        if (two_columns) AMX_LOAD(7, b + AMX_DEPTH, panel_row);
        if (two_rows) AMX_LOAD(5, a + p->a_second, AMX_ROW_BYTES);
        AMX_MULTIPLY(0, 4, 6);
        if (two_columns) AMX_MULTIPLY(1, 4, 7);
        if (two_rows) AMX_MULTIPLY(2, 5, 6);
        if (two_rows && two_columns) AMX_MULTIPLY(3, 5, 7);
        prefetch_lines(p->prefetch);
    }
}

AMX_INLINE void multiply_shape(const amx_product *p, bool two_rows, bool two_columns)
{
    load_sums(p, two_rows, two_columns);
    for (int i = 0; i < p->batches; i++) {
        const amx_batch *batch = &p->batch[i];
        for (int line = 0; line < batch->lines; line++)
            multiply_steps(p, batch->a + line * batch->a_line, batch->b + line * batch->b_line, two_rows, two_columns);
    }
    store_sums(p, two_rows, two_columns);
}

static void multiply(const amx_product *p)
{
    if (p->two_rows && p->two_columns)
        multiply_shape(p, true, true);
    else if (p->two_rows)
        multiply_shape(p, true, false);
    else if (p->two_columns)
        multiply_shape(p, false, true);
    else
        multiply_shape(p, false, false);
}

AMX_INLINE void load_columns(const bf16 *b, bool two_columns)
{
    const size_t panel_row = AMX_BLOCK * 2 * sizeof(bf16);
    AMX_LOAD(6, b, panel_row);
    if (two_columns) AMX_LOAD(7, b + AMX_DEPTH, panel_row);
}

/* One step of a line of the kernel. Tile registers 4 and 5 hold one pixel each, by turns: a pixel that a tap multiplied for the
 * right result, the next tap multiplies for the left one. */
AMX_INLINE void multiply_line(const amx_pair_product *p, const bf16 *a, const bf16 *b, bool has_left, bool has_right,
                              bool two_columns)
{
    load_columns(b, two_columns);
    AMX_LOAD(5, a, AMX_ROW_BYTES);
    if (has_left) {
        AMX_LOAD(4, a - p->a_pixel, AMX_ROW_BYTES);
        AMX_MULTIPLY(0, 4, 6);
        if (two_columns) AMX_MULTIPLY(1, 4, 7);
    }
    AMX_MULTIPLY(2, 5, 6);
    if (two_columns) AMX_MULTIPLY(3, 5, 7);
    load_columns(b + p->b_tap, two_columns);
    AMX_LOAD(4, a + p->a_pixel, AMX_ROW_BYTES);
    AMX_MULTIPLY(0, 5, 6);
    if (two_columns) AMX_MULTIPLY(1, 5, 7);
    AMX_MULTIPLY(2, 4, 6);
    if (two_columns) AMX_MULTIPLY(3, 4, 7);
    load_columns(b + 2 * p->b_tap, two_columns);
    AMX_MULTIPLY(0, 4, 6);
    if (two_columns) AMX_MULTIPLY(1, 4, 7);
    if (has_right) {
        AMX_LOAD(5, a + 2 * p->a_pixel, AMX_ROW_BYTES);
        AMX_MULTIPLY(2, 5, 6);
        if (two_columns) AMX_MULTIPLY(3, 5, 7);
    }
}

AMX_INLINE void multiply_pair_shape(const amx_pair_product *p, bool has_left, bool has_right, bool two_columns)
{
    const amx_product sums = {.sums = p->sums, .sums_stride = AMX_BLOCK};
    load_sums(&sums, true, two_columns);
    for (int i = 0; i < p->lines; i++) {
        const bf16 *a = p->line[i].a, *b = p->line[i].b;
        for (int step = 0; step < p->steps; step++, a += AMX_TILE_ELEMENTS, b += AMX_PANEL_STEP) {
            multiply_line(p, a, b, has_left, has_right, two_columns);
            prefetch_lines(p->prefetch);
        }
    }
    store_sums(&sums, true, two_columns);
}

AMX_INLINE void multiply_pair_columns(const amx_pair_product *p, bool two_columns)
{
    if (p->has_left && p->has_right)
        multiply_pair_shape(p, true, true, two_columns);
    else if (p->has_left)
        multiply_pair_shape(p, true, false, two_columns);
    else if (p->has_right)
        multiply_pair_shape(p, false, true, two_columns);
    else
        multiply_pair_shape(p, false, false, two_columns);
}

static void multiply_pair(const amx_pair_product *p)
{
    if (p->two_columns)
        multiply_pair_columns(p, true);
    else
        multiply_pair_columns(p, false);
}

/* Loads numbers `at` .. at + count - 1, count <= 32; fp32 ones are rounded. */
AMX_INLINE vector_halves source_load(amx_source from, size_t at, int count)
{
    if (from.bf16) return halves_load(from.bf16 + at, count);
    return halves_round(floats_load(from.fp32 + at, count),
                        count > 16 ? floats_load(from.fp32 + at + 16, count - 16) : floats_zero());
}

/* Loads half `half` (of 16) of the same numbers, as fp32. */
AMX_INLINE vector_floats source_floats(amx_source from, size_t at, int half, int count)
{
    if (from.bf16) return halves_widen(halves_load(from.bf16 + at, count), half);
    return floats_load(from.fp32 + at + 16 * half, count - 16 * half);
}

/* The results of one image, from column 16 * half on. */
AMX_INLINE vector_floats finished(const amx_output *o, int row, int half, vector_floats bias, size_t at)
{
    const float *sums = o->sums + row * AMX_BLOCK + half * VECTOR_FLOATS;
    vector_floats window[4];
    int count = o->columns - half * VECTOR_FLOATS;
    for (int place = 0; place < (o->pooled ? 4 : 1); place++) {
        window[place] = floats_add(floats_load(sums + place * o->window_stride, VECTOR_FLOATS), bias);
        if (o->relu) window[place] = floats_rectify(window[place]);
    }
    if (o->pooled) return floats_largest(window, o->pool_argmax ? o->pool_argmax + at + half * VECTOR_FLOATS : NULL, count);
    if (o->positive.fp32 || o->positive.bf16) return floats_where(window[0], source_floats(o->positive, at, half, o->columns));
    return window[0];
}

static void finish(const amx_output *o)
{
    vector_floats bias[2] = {floats_zero(), floats_zero()};
    for (int half = 0; o->bias && half < 2; half++)
        if (o->columns > half * VECTOR_FLOATS)
            bias[half] = floats_load(o->bias + half * VECTOR_FLOATS, o->columns - half * VECTOR_FLOATS);
    for (int row = 0; row < o->rows; row++) {
        size_t at = (size_t)row * o->stride;
        vector_floats result[2] = {finished(o, row, 0, bias[0], at), floats_zero()};
        if (o->columns > VECTOR_FLOATS) result[1] = finished(o, row, 1, bias[1], at);
        if (o->bf16) {
            halves_store(o->bf16 + at, halves_round(result[0], result[1]), o->columns);
        } else {
            floats_store(o->fp32 + at, result[0], o->columns);
            if (o->columns > VECTOR_FLOATS) floats_store(o->fp32 + at + VECTOR_FLOATS, result[1], o->columns - VECTOR_FLOATS);
        }
    }
}

/* The channels of image `image`, or zeros past the last image. */
AMX_INLINE vector_halves pixel_load(const amx_pixel *p, int image)
{
    return image < p->images ? source_load(p->map, (size_t)image * p->stride, p->count) : halves_zero();
}

/* The channels of image `image` that pooling took from place `place` of the window, zeros for the others and past the last
 * image. */
AMX_INLINE vector_halves window_load(const amx_pixel *p, int image, int place)
{
    if (image >= p->images) return halves_zero();
    return halves_chosen(pixel_load(p, image), p->pool_argmax + (size_t)image * p->stride, place, p->count);
}

AMX_INLINE int places_of(const amx_pixel *p) { return p->pool_argmax ? 4 : 1; }

AMX_INLINE size_t place_offset(const amx_pixel *p, int place) { return place / 2 * p->down + place % 2 * p->right; }

static void pack_images(bf16 *to, const amx_pixel *p)
{
    for (int image = 0; image < AMX_ROWS; image++, to += AMX_DEPTH) {
        if (!p->pool_argmax) {
            halves_store(to, pixel_load(p, image), AMX_DEPTH);
            continue;
        }
        for (int place = 0; place < 4; place++) halves_store(to + place_offset(p, place), window_load(p, image, place), AMX_DEPTH);
    }
}

AMX_INLINE void load_pairs(vector_halves pairs[2][16], const amx_pixel *p, int place)
{
    for (int pair = 0; pair < 16; pair++) {
        vector_halves even = p->pool_argmax ? window_load(p, 2 * pair, place) : pixel_load(p, 2 * pair);
        vector_halves odd = p->pool_argmax ? window_load(p, 2 * pair + 1, place) : pixel_load(p, 2 * pair + 1);
        for (int half = 0; half < 2; half++) pairs[half][pair] = halves_interleave(even, odd, half);
    }
}

static void pack_across(bf16 *to, size_t second, const amx_pixel *p)
{
    vector_halves pairs[2][16];
    for (int place = 0; place < places_of(p); place++) {
        load_pairs(pairs, p, place);
        for (int half = 0; half < (p->count > 16 ? 2 : 1); half++) {
            bf16 *tile = to + place_offset(p, place) + half * second;
            pairs_transpose(pairs[half]);
            for (int i = 0; i < AMX_ROWS; i++) halves_store(tile + i * AMX_DEPTH, pairs[half][i], AMX_DEPTH);
        }
    }
}

AMX_INLINE void add_images(float *sums, const amx_pixel *p)
{
    vector_floats sum[2] = {floats_zero(), floats_zero()};
    for (int image = 0; image < p->images; image++) {
        sum[0] = floats_add(sum[0], source_floats(p->map, (size_t)image * p->stride, 0, p->count));
        if (p->count > 16) sum[1] = floats_add(sum[1], source_floats(p->map, (size_t)image * p->stride, 1, p->count));
    }
    floats_store(sums, sum[0], p->count);
    if (p->count > 16) floats_store(sums + 16, sum[1], p->count - 16);
}

static void pack_pairs(bf16 *to, const amx_pixel *p, float *sums)
{
    vector_halves pairs[2][16];
    for (int place = 0; place < places_of(p); place++) {
        load_pairs(pairs, p, place);
        bf16 *step = to + place_offset(p, place);
        for (int i = 0; i < 32; i++) halves_store(step + i * AMX_DEPTH, pairs[i % 2][i / 2], AMX_DEPTH);
    }
    add_images(sums, p);
}

static void pack_rows(bf16 *to, const float *source, size_t stride, int rows, int columns)
{
    for (int row = 0; row < rows || row % AMX_DEPTH != 0; row += 2, to += 2 * AMX_BLOCK) {
        const amx_source from = {.fp32 = source};
        vector_halves even = row < rows ? source_load(from, (size_t)row * stride, columns) : halves_zero();
        vector_halves odd = row + 1 < rows ? source_load(from, (size_t)(row + 1) * stride, columns) : halves_zero();
        halves_store(to, halves_interleave(even, odd, 0), AMX_DEPTH);
        halves_store(to + AMX_DEPTH, halves_interleave(even, odd, 1), AMX_DEPTH);
    }
}

static void pack_columns(bf16 *to, const float *source, size_t stride, int rows, int columns)
{
    for (int row = 0; row < rows; row += AMX_DEPTH, to += AMX_PANEL_STEP) {
        for (int half = 0; half < 2; half++) {
            vector_halves pairs[16];
            for (int i = 0; i < 16; i++) {
                size_t column = (size_t)(16 * half + i);
                const amx_source from = {.fp32 = source};
                pairs[i] = (int)column < columns ? source_load(from, column * stride + (size_t)row, rows - row) : halves_zero();
            }
            pairs_transpose(pairs);
            for (int i = 0; i < 16; i++) halves_store(to + (2 * i + half) * AMX_DEPTH, pairs[i], AMX_DEPTH);
        }
    }
}

static void store(float *to, size_t stride, const float *sums, int rows, int columns, bool stream)
{
    for (int row = 0; row < rows; row++, to += stride, sums += AMX_BLOCK) {
        vector_floats low = floats_load(sums, VECTOR_FLOATS), high = floats_load(sums + VECTOR_FLOATS, VECTOR_FLOATS);
        if (stream) {
            floats_stream(to, low);
            floats_stream(to + VECTOR_FLOATS, high);
            continue;
        }
        floats_store(to, low, columns);
        if (columns > VECTOR_FLOATS) floats_store(to + VECTOR_FLOATS, high, columns - VECTOR_FLOATS);
    }
}

static void finish_stores(void) { finish_streams(); }

const amx_kernels AMX_KERNELS = {begin,       end,        multiply,  multiply_pair, finish, pack_images,
                                 pack_across, pack_pairs, pack_rows, pack_columns,  store,  finish_stores};

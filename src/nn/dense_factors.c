/* The factors' block consists of words of the kernels' table (a float, or a pair of bfloat16 numbers). It holds each layer's images
 * twice: in rows, whose words pair channels, for inner products of images; and as the gemm tiles of dw read them, where words pair
 * images: x[word of images][channel], dy[panel][word of images][channel of panel]. The partial square sums are at the end. */
#include "vgg11/nn/dense_factors.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vgg11/kernels/gram.h"
#include "vgg11/kernels/gemm.h"
#include "vgg11/base/cpu.h"
#include "vgg11/base/hash.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/memory.h"

enum { LINE_WORDS = VGG_ALIGNMENT_BYTES / 4, KERNEL_FLOATS_LEAST = 1 << 20 };

/* Multiply-adds in double precision that a core does while it moves a float to or from memory. */
enum { MULTIPLY_ADDS_A_MOVE = 4 };

/* Matrix tiles compute a whole gradient at nearly the pace at which it is written. Where a rank has more images than this,
 * computing it by vectors in the update takes longer than moving it. */
enum { IMAGES_BESIDE_TILES = 48 };

/* Images of one of a layer's two maps. */
typedef struct {
    size_t channels;
    size_t row_stride; /* words from row to row */
    size_t rows;       /* offset in the block of the rows */
    size_t paired; /* offset in the block of the paired images: x [word of images][paired_stride] or dy [panel][paired_stride] */
    size_t paired_stride;
} factor_map;

typedef struct {
    bool held;
    factor_map x;
    factor_map dy;
} factor_layer;

struct factor_set {
    factors_config config;
    const simd_kernels *kernels;
    size_t image_words; /* most words that hold the images of all ranks */
    factor_layer layers[MODEL_LAYERS];
    size_t sums;  /* offset in the block of the partial square sums */
    size_t words; /* of the block */
};

/* What a pair of blocks of images adds to |dw|^2, and, for a block with itself, the sum over its images of |x| |dy|. */
typedef struct {
    double squares;
    double magnitude;
} square_sum;

_Static_assert((int)FACTOR_COLUMNS % (int)SIMD_PANEL_MAX == 0, "a tile has whole panels");

static size_t words_of(const factor_set *f, size_t numbers) { return size_divide_up(numbers, (size_t)f->kernels->per_word); }

/* Factors are worth it where dw is large, and the images are so few that their inner products take less time than moving dw would:
 * each rank would write its own, all of them would be read to be summed, and the sum would be read once more to be applied. */
static bool is_worth(const factor_set *f, const layer_row *row)
{
    bool tiles = f->config.precision == PRECISION_BF16 && cpu_detect()->amx_bf16;
    if (tiles && f->config.images > IMAGES_BESIDE_TILES * f->config.ranks) return false;
    size_t n = f->config.images, floats = (size_t)row->in * (size_t)row->out, moves = (2 * f->config.ranks + 1) * floats;
    size_t products = n * n / 2 * (size_t)(row->in + row->out);
    bool fits = row->kind == LAYER_DENSE && row->in % GRAM_LANES == 0 && row->out % GRAM_LANES == 0;
    return fits && floats >= KERNEL_FLOATS_LEAST && products <= moves * MULTIPLY_ADDS_A_MOVE;
}

static size_t take(factor_set *f, size_t words)
{
    size_t at = f->words;
    f->words += vgg_round_up(words, LINE_WORDS);
    return at;
}

static void take_map(factor_set *f, factor_map *map, size_t channels)
{
    map->channels = channels;
    map->row_stride = gemm_row_stride(words_of(f, channels));
    map->rows = take(f, f->config.images * map->row_stride);
}

static void take_layer(factor_set *f, factor_layer *layer, const layer_row *row)
{
    layer->held = true;
    take_map(f, &layer->x, (size_t)row->in);
    take_map(f, &layer->dy, (size_t)row->out);
    layer->x.paired_stride = gemm_row_stride(layer->x.channels);
    layer->x.paired = take(f, f->image_words * layer->x.paired_stride);
    layer->dy.paired_stride = f->image_words * (size_t)f->kernels->panel + LINE_WORDS;
    layer->dy.paired = take(f, gemm_panels(f->kernels, layer->dy.channels) * layer->dy.paired_stride);
}

static size_t image_blocks(size_t images) { return size_divide_up(images, GRAM_BLOCK); }

/* The pairs of blocks of images of one layer. */
static size_t block_pairs(size_t images)
{
    size_t blocks = image_blocks(images);
    return blocks * (blocks + 1) / 2;
}

static size_t lay_out(factor_set *f)
{
    size_t held = 0;
    for (size_t rank = 0; rank < f->config.ranks; rank++)
        f->image_words += words_of(f, range_part(f->config.images, f->config.ranks, rank).count) + 1;
    for (int i = 0; i < MODEL_LAYERS; i++) {
        if (!is_worth(f, &model_layers[i])) continue;
        take_layer(f, &f->layers[i], &model_layers[i]);
        held++;
    }
    f->sums = take(f, held * block_pairs(f->config.images) * sizeof(square_sum) / sizeof(float));
    return held;
}

vgg_status factors_open(const factors_config *config, factor_set **out)
{
    *out = NULL;
    const simd_kernels *kernels = config->precision == PRECISION_BF16 ? simd_kernels_select_bf16() : simd_kernels_select();
    if (!kernels) return vgg_fail(VGG_DECLINED, "no products of bf16 pairs on this processor");
    factor_set *f = calloc(1, sizeof *f);
    if (!f) return vgg_fail(VGG_UNAVAILABLE, "no memory for the description of factors");
    f->config = *config;
    f->kernels = kernels;
    if (lay_out(f) == 0) {
        factors_close(f);
        return vgg_fail(VGG_DECLINED, "%zu images have too many products", config->images);
    }
    *out = f;
    return VGG_OK;
}

void factors_close(factor_set *f) { free(f); }

uint64_t factors_layout(const factor_set *f)
{
    uint64_t numbers[] = {(uint64_t)f->kernels->per_word, (uint64_t)f->kernels->panel, f->image_words, f->words};
    return hash_bits(numbers, sizeof numbers);
}

size_t factors_bytes(const factor_set *f) { return f->words * sizeof(float); }

bool factors_hold(const factor_set *f, int layer) { return f && f->layers[layer].held; }

static float *word_at(const factor_batch *batch, size_t at) { return (float *)batch->memory + at; }

/* Words that the images of the ranks before `rank` take. Each rank's images begin with a new word. */
static size_t words_before(const factor_batch *batch, size_t rank)
{
    size_t words = 0;
    for (size_t r = 0; r < rank; r++) words += words_of(batch->f, range_part(batch->images, batch->f->config.ranks, r).count);
    return words;
}

static size_t words_of_all(const factor_batch *batch) { return words_before(batch, batch->f->config.ranks); }

/* Word c of `to` is number c of `low` and of `high`, which is NULL for zeros. */
static void pair_words(float *to, const uint16_t *low, const uint16_t *high, size_t count)
{
    uint32_t *words = (uint32_t *)(void *)to;
    for (size_t c = 0; c < count; c++) words[c] = low[c] | (high ? (uint32_t)high[c] << 16 : 0);
}

/* Writes the channels `part` of row `row` of the images, and, where a word holds two, of the row after it, unless that is `end`. */
static void write_words(const factor_set *f, float *to, const void *images, size_t channels, size_t row, size_t end, vgg_range part)
{
    size_t at = row * channels + part.first;
    if (f->kernels->per_word == 1)
        memcpy(to, (const float *)images + at, part.count * sizeof *to);
    else
        pair_words(to, (const uint16_t *)images + at, row + 1 < end ? (const uint16_t *)images + at + channels : NULL, part.count);
}

static void write_rows(const factor_batch *batch, const factor_map *map, const void *images, vgg_range own)
{
    size_t bytes = map->channels * sizeof(float) / (size_t)batch->f->kernels->per_word;
    for (size_t i = 0; i < own.count; i++)
        memcpy(word_at(batch, map->rows + (own.first + i) * map->row_stride), (const char *)images + i * bytes, bytes);
}

static void write_paired_x(const factor_batch *batch, const factor_map *map, const void *images, size_t count, size_t first_word)
{
    size_t per_word = (size_t)batch->f->kernels->per_word;
    for (size_t i = 0; i < count; i += per_word)
        write_words(batch->f, word_at(batch, map->paired + (first_word + i / per_word) * map->paired_stride), images, map->channels,
                    i, count, (vgg_range){0, map->channels});
}

static void write_panel(const factor_batch *batch, const factor_map *map, const void *images, size_t count, size_t first_word,
                        size_t panel)
{
    size_t per_word = (size_t)batch->f->kernels->per_word, width = (size_t)batch->f->kernels->panel, first = panel * width;
    vgg_range part = {first, size_min(map->channels - first, width)};
    float *to = word_at(batch, map->paired + panel * map->paired_stride + first_word * width);
    for (size_t i = 0; i < count; i += per_word, to += width) {
        write_words(batch->f, to, images, map->channels, i, count, part);
        memset(to + part.count, 0, (width - part.count) * sizeof *to);
    }
}

void factors_write(const factor_batch *batch, int layer, const void *x, const void *dy)
{
    const factor_set *f = batch->f;
    const factor_layer *of = &f->layers[layer];
    vgg_range own = range_part(batch->images, f->config.ranks, batch->rank);
    size_t first_word = words_before(batch, batch->rank);
#pragma omp parallel num_threads(batch->threads)
    {
#pragma omp single nowait
        {
            write_rows(batch, &of->x, x, own);
            write_rows(batch, &of->dy, dy, own);
            write_paired_x(batch, &of->x, x, own.count, first_word);
        }
#pragma omp for schedule(dynamic, 8)
        for (size_t panel = 0; panel < gemm_panels(f->kernels, of->dy.channels); panel++)
            write_panel(batch, &of->dy, dy, own.count, first_word, panel);
    }
}

/* Goes on from `hash` over `lines` of so many words, whose beginnings lie `stride` words apart. */
static uint64_t hash_lines(const factor_batch *batch, uint64_t hash, size_t at, size_t stride, size_t lines, size_t words)
{
    for (size_t i = 0; i < lines; i++) {
        uint64_t joined[2] = {hash, hash_bits(word_at(batch, at + i * stride), words * sizeof(float))};
        hash = hash_bits(joined, sizeof joined);
    }
    return hash;
}

uint64_t factors_hash(const factor_batch *batch, int layer)
{
    const factor_set *f = batch->f;
    const factor_map *x = &f->layers[layer].x, *dy = &f->layers[layer].dy;
    vgg_range own = range_part(batch->images, f->config.ranks, batch->rank);
    size_t first_word = words_before(batch, batch->rank), words = words_of(f, own.count), width = (size_t)f->kernels->panel;
    uint64_t hash = hash_lines(batch, 0, x->rows + own.first * x->row_stride, x->row_stride, own.count, words_of(f, x->channels));
    hash = hash_lines(batch, hash, dy->rows + own.first * dy->row_stride, dy->row_stride, own.count, words_of(f, dy->channels));
    hash = hash_lines(batch, hash, x->paired + first_word * x->paired_stride, x->paired_stride, words, x->channels);
    return hash_lines(batch, hash, dy->paired + first_word * width, dy->paired_stride, gemm_panels(f->kernels, dy->channels),
                      words * width);
}

static gram_rows rows_of_block(const factor_batch *batch, const factor_map *map, size_t block)
{
    size_t first = block * GRAM_BLOCK;
    return (gram_rows){.first = word_at(batch, map->rows + first * map->row_stride),
                       .stride_bytes = map->row_stride * sizeof(float),
                       .count = size_min(batch->images - first, GRAM_BLOCK),
                       .bf16 = batch->f->config.precision == PRECISION_BF16};
}

/* |dw|^2 has both orders of images i, j; a pair of different blocks is computed once and counts twice. */
static square_sum square_sum_of(const factor_batch *batch, const factor_layer *layer, size_t block_i, size_t block_j)
{
    double of_x[GRAM_BLOCK][GRAM_BLOCK], of_dy[GRAM_BLOCK][GRAM_BLOCK];
    gram_rows x[2] = {rows_of_block(batch, &layer->x, block_i), rows_of_block(batch, &layer->x, block_j)};
    gram_rows dy[2] = {rows_of_block(batch, &layer->dy, block_i), rows_of_block(batch, &layer->dy, block_j)};
    square_sum sum = {0};
    gram_products(&x[0], &x[1], layer->x.channels, of_x);
    gram_products(&dy[0], &dy[1], layer->dy.channels, of_dy);
    for (size_t a = 0; a < x[0].count; a++)
        for (size_t b = 0; b < x[1].count; b++) sum.squares += of_x[a][b] * of_dy[a][b];
    for (size_t a = 0; block_i == block_j && a < x[0].count; a++) sum.magnitude += sqrt(of_x[a][a]) * sqrt(of_dy[a][a]);
    if (block_i != block_j) sum.squares *= 2;
    return sum;
}

static square_sum *partial_sums(const factor_batch *batch) { return (square_sum *)(void *)word_at(batch, batch->f->sums); }

/* The ranks take turns at the block pairs of all layers in factors, which are numbered one after the other. */
void factors_reduce_square_sums(const factor_batch *batch)
{
    const factor_set *f = batch->f;
    size_t blocks = image_blocks(batch->images), first_pair = 0;
    square_sum *sums = partial_sums(batch);
#pragma omp parallel num_threads(batch->threads) firstprivate(first_pair)
    for (int layer = MODEL_LAYERS - 1; layer >= 0; layer--) {
        if (!f->layers[layer].held) continue;
        for (size_t i = 0; i < blocks; i++) {
#pragma omp for schedule(dynamic) nowait
            for (size_t j = i; j < blocks; j++)
                if ((first_pair + j - i) % f->config.ranks == batch->rank)
                    sums[first_pair + j - i] = square_sum_of(batch, &f->layers[layer], i, j);
            first_pair += blocks - i;
        }
    }
}

/* By its error, a sum whose terms cancel may be below zero: it counts as zero. NaN stays NaN. */
static double add_square_sums(const square_sum *sums, size_t count)
{
    square_sum all = {0};
    for (size_t i = 0; i < count; i++) {
        all.squares += sums[i].squares;
        all.magnitude += sums[i].magnitude;
    }
    if (all.magnitude > FLT_MAX) return INFINITY;
    return all.squares < 0 ? 0 : all.squares;
}

void factors_read_square_sums(const factor_batch *batch, double sums[MODEL_TENSORS])
{
    size_t pairs = block_pairs(batch->images);
    const square_sum *partial = partial_sums(batch);
    for (int layer = MODEL_LAYERS - 1; layer >= 0; layer--) {
        if (!batch->f->layers[layer].held) continue;
        sums[2 * layer] = add_square_sums(partial, pairs);
        partial += pairs;
    }
}

vgg_range factor_rows(const factor_batch *batch, int layer)
{
    return range_part((size_t)model_layers[layer].in, batch->f->config.ranks, batch->rank);
}

size_t factor_tile_count(int layer, vgg_range rows)
{
    return size_divide_up(rows.count, FACTOR_ROWS) * size_divide_up((size_t)model_layers[layer].out, FACTOR_COLUMNS);
}

/* Tiles along the rows come first, so that what follows in memory is used next. */
factor_tile factor_tile_at(int layer, vgg_range rows, size_t index)
{
    size_t down = size_divide_up(rows.count, FACTOR_ROWS), out = (size_t)model_layers[layer].out;
    size_t across = size_divide_up(out, FACTOR_COLUMNS);
    vgg_range part = range_part(rows.count, down, index / across);
    size_t column = index % across * FACTOR_COLUMNS;
    return (factor_tile){{rows.first + part.first, part.count}, {column, size_min(out - column, FACTOR_COLUMNS)}};
}

void factors_multiply(const factor_batch *batch, int layer, const factor_tile *tile, const factor_tile *next,
                      const float *const arrays[2], float *values)
{
    const simd_kernels *kernels = batch->f->kernels;
    const factor_layer *of = &batch->f->layers[layer];
    size_t width = (size_t)kernels->panel, first_panel = tile->columns.first / width, out = of->dy.channels;
    gemm_tile product = {.a = word_at(batch, of->x.paired + tile->rows.first),
                         .a_stride = of->x.paired_stride,
                         .c_stride = FACTOR_COLUMNS,
                         .depth = words_of_all(batch),
                         .next_rows = {.stride = out, .count = next ? next->rows.count : 0}};
    for (size_t panel = 0; panel < gemm_panels(kernels, tile->columns.count); panel++) {
        product.b = word_at(batch, of->dy.paired + (first_panel + panel) * of->dy.paired_stride);
        product.c = values + panel * width;
        for (size_t i = 0; next && i < 2; i++)
            product.next_rows.first[i] = arrays[i] + next->rows.first * out + next->columns.first + panel * width;
        gemm_by_columns(kernels, &product, tile->rows.count);
    }
}

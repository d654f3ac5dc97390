/* direct-bf16, weight gradient: dw[tap] = x^T dy, summed over the pixels at which the tap is inside the map.
 *
 * The pairs that VDPBF16PS multiplies are the same pixel of two images, 2q and 2q+1: then both have the same valid taps and
 * shift together, whatever the tap. x is packed as [chunk][tile of input channels][pixel][image pair][rows][2], dy as
 * [chunk][panel][pixel][image pair][PANEL][2], so that the pixels of one line are one run of steps for both. A chunk is as
 * many image pairs as keep one tile's and one panel's pixels in the level-2 cache while all taps use them.
 */
#include <omp.h>

#include "vgg11/conv/progress_poll.h"
#include "conv/direct_bf16.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

enum { CACHE_BYTES = 512 * 1024, STREAM_BYTES = 4 * 1024 * 1024, CHANNEL_TILE_ELEMENTS = 2 * TILE_ROWS };

typedef struct {
    const conv_problem *problem;
    const conv_arguments *arguments;
    int pixels;
    int pairs;       /* of images in this call */
    int chunk_pairs; /* of the largest chunk */
    int chunks;
    int tile_rows; /* input channels of a tile; the last may have fewer */
    int tiles;
    int panels;
    size_t a_chunk; /* elements */
    size_t b_chunk;
    bf16 *a;
    bf16 *b;
    float *sums; /* db's parts: [chunk][pixel][out] */
    bool stream; /* dw is written past the caches, since it would not be there when it is wanted */
} weight_work;

static int divide_up(int a, int b) { return (a + b - 1) / b; }

static weight_work describe_work(const conv_problem *p, int images)
{
    weight_work work = {.problem = p, .pixels = p->side * p->side, .pairs = divide_up(images, 2)};
    int pair_bytes = work.pixels * (PANEL_STEP + CHANNEL_TILE_ELEMENTS) * (int)sizeof(bf16);
    int fitting = CACHE_BYTES / pair_bytes > 1 ? CACHE_BYTES / pair_bytes : 1;
    work.chunks = divide_up(work.pairs, fitting);
    work.chunk_pairs = divide_up(work.pairs, work.chunks);
    work.tiles = divide_up(p->in, TILE_ROWS);
    work.tile_rows = divide_up(p->in, work.tiles);
    work.panels = divide_up(p->out, PANEL);
    work.a_chunk = (size_t)work.chunk_pairs * work.pixels * work.tiles * work.tile_rows * 2;
    work.b_chunk = (size_t)work.chunk_pairs * work.pixels * work.panels * PANEL_STEP;
    return work;
}

/* A short last chunk lies at its place by chunk_pairs, and is as dense inside as its own pairs allow. */
static int pairs_in(const weight_work *work, int chunk)
{
    int left = work->pairs - chunk * work->chunk_pairs;
    return left < work->chunk_pairs ? left : work->chunk_pairs;
}

static int images_in(const weight_work *work, int chunk)
{
    int left = work->arguments->n - 2 * chunk * work->chunk_pairs;
    return left < 2 * work->chunk_pairs ? left : 2 * work->chunk_pairs;
}

static int rows_in(const weight_work *work, int tile)
{
    int left = work->problem->in - tile * work->tile_rows;
    return left < work->tile_rows ? left : work->tile_rows;
}

static int columns_in(const weight_work *work, int panel)
{
    int left = work->problem->out - panel * PANEL;
    return left < PANEL ? left : PANEL;
}

/* Where pixel's pairs of a chunk and a tile (or panel) start, `width` being that of one step. A to_bf16 last tile is dense
 * inside too. */
static size_t packed_offset(const weight_work *work, size_t chunk_size, int chunk, int part, size_t part_width, int pixel,
                            size_t width)
{
    size_t pairs = pairs_in(work, chunk);
    return chunk * chunk_size + pairs * (part * part_width * work->pixels + pixel * width);
}

static bf16 *a_at(const weight_work *work, int chunk, int tile, int pixel)
{
    return work->a + packed_offset(work, work->a_chunk, chunk, tile, 2 * work->tile_rows, pixel, 2 * rows_in(work, tile));
}

static bf16 *b_at(const weight_work *work, int chunk, int panel, int pixel)
{
    return work->b + packed_offset(work, work->b_chunk, chunk, panel, PANEL_STEP, pixel, PANEL_STEP);
}

static void pack_x(const weight_work *work, int chunk, int pixel, int tile)
{
    size_t image = (size_t)work->pixels * work->problem->in;
    size_t first = 2 * chunk * work->chunk_pairs * image + (size_t)pixel * work->problem->in + tile * work->tile_rows;
    bf16 *out = a_at(work, chunk, tile, pixel);
    int images = images_in(work, chunk), rows = rows_in(work, tile);
    if (work->problem->bf16_x)
        bf16_pair_bf16_rows(out, work->arguments->x16 + first, image, images, rows);
    else
        bf16_pack_pairs(out, work->arguments->x + first, image, images, rows);
}

static void pack_dy(const weight_work *work, int chunk, int pixel, int panel)
{
    int out = work->problem->out, columns = columns_in(work, panel), images = images_in(work, chunk);
    size_t image = (size_t)work->pixels * out;
    size_t first = 2 * chunk * work->chunk_pairs * image + (size_t)pixel * out + panel * PANEL;
    float *sums = work->sums + ((size_t)chunk * work->pixels + pixel) * out + panel * PANEL;
    bf16 *packed = b_at(work, chunk, panel, pixel);
    if (work->problem->bf16_y) {
        bf16_pair_rows(packed, work->arguments->dy16 + first, image, images, columns);
        bf16_column_sums(sums, work->arguments->dy16 + first, image, images, columns);
    } else {
        bf16_pack_row_pairs(packed, work->arguments->dy + first, image, images, columns);
        float_column_sums(sums, work->arguments->dy + first, image, images, columns);
    }
}

static void pack_operands(const weight_work *work)
{
#pragma omp for collapse(3) schedule(static) nowait
    for (int chunk = 0; chunk < work->chunks; chunk++) {
        for (int pixel = 0; pixel < work->pixels; pixel++) {
            for (int tile = 0; tile < work->tiles; tile++) pack_x(work, chunk, pixel, tile);
        }
    }
#pragma omp for collapse(3) schedule(static)
    for (int chunk = 0; chunk < work->chunks; chunk++) {
        for (int pixel = 0; pixel < work->pixels; pixel++) {
            for (int panel = 0; panel < work->panels; panel++) pack_dy(work, chunk, pixel, panel);
        }
    }
}

static int larger(int a, int b) { return a > b ? a : b; }

static int smaller(int a, int b) { return a < b ? a : b; }

static void multiply(const weight_work *work, int chunk, int panel, int tile_index, int tap)
{
    const conv_problem *p = work->problem;
    int rows = rows_in(work, tile_index), pairs = pairs_in(work, chunk);
    int down = tap / p->kernel - p->kernel / 2, right = tap % p->kernel - p->kernel / 2;
    int h = larger(0, -down), h_end = smaller(p->side, p->side - down);
    int w = larger(0, -right), w_end = smaller(p->side, p->side - right);
    gemm_bf16_tile tile = {.lines = h_end - h, .steps = (w_end - w) * pairs, .c_stride = p->out};
    tile.a = a_at(work, chunk, tile_index, (h + down) * p->side + w + right);
    tile.b = b_at(work, chunk, panel, h * p->side + w);
    tile.a_line = (size_t)p->side * pairs * 2 * rows;
    tile.b_line = (size_t)p->side * pairs * PANEL_STEP;
    tile.c = work->arguments->dw + ((size_t)tap * p->in + tile_index * work->tile_rows) * p->out + panel * PANEL;
    tile.columns = columns_in(work, panel);
    tile.accumulate = chunk > 0;
    tile.stream = work->stream && tile.columns == PANEL;
    gemm_bf16_tile_product[rows](&tile);
}

/* One thread has the same items in all chunks, so that dw is added to without a lock and in the same order for any number
 * of threads. */
static void multiply_share(const weight_work *work, int thread, int threads)
{
    int taps = work->problem->kernel * work->problem->kernel;
    vgg_range own = range_part((size_t)work->panels * work->tiles * taps, threads, thread);
    for (int chunk = 0; chunk < work->chunks; chunk++) {
        for (int item = (int)own.first; item < (int)(own.first + own.count); item++) {
            multiply(work, chunk, item / taps % work->panels, item / taps / work->panels, item % taps);
            progress_poll();
        }
    }
}

static void add_bias_parts(const weight_work *work)
{
    int out = work->problem->out;
#pragma omp for schedule(static) nowait
    for (int panel = 0; panel < work->panels; panel++) {
        float_column_sums(work->arguments->db + panel * PANEL, work->sums + panel * PANEL, out, work->chunks * work->pixels,
                          columns_in(work, panel));
    }
}

static size_t a_bytes(const weight_work *work) { return vgg_round_up(work->chunks * work->a_chunk * sizeof(bf16), 64); }

static size_t b_bytes(const weight_work *work) { return vgg_round_up(work->chunks * work->b_chunk * sizeof(bf16), 64); }

/* Streaming stores need whole aligned lines, and one pass over each tile. */
static bool can_stream(const weight_work *work)
{
    const conv_problem *p = work->problem;
    bool aligned = (uintptr_t)work->arguments->dw % VGG_ALIGNMENT_BYTES == 0 && p->out % 16 == 0;
    return aligned && work->chunks == 1 && (size_t)p->kernel * p->kernel * p->in * p->out * sizeof(float) >= STREAM_BYTES;
}

static void run(const conv_plan *plan, const conv_arguments *arguments)
{
    weight_work work = describe_work(&plan->problem, arguments->n);
    char *workspace = arguments->workspace;
    work.arguments = arguments;
    work.a = (bf16 *)workspace;
    work.b = (bf16 *)(workspace + a_bytes(&work));
    work.stream = can_stream(&work);
    work.sums = (float *)(workspace + a_bytes(&work) + b_bytes(&work));
#pragma omp parallel num_threads(plan->problem.threads)
    {
        pack_operands(&work);
        add_bias_parts(&work);
        multiply_share(&work, omp_get_thread_num(), omp_get_num_threads());
        if (work.stream) bf16_finish_streams();
    }
}

/* The room grows with the images, so the batch's is enough for any call. */
vgg_status direct_bf16_plan_weight_grad(conv_plan *plan)
{
    const weight_work work = describe_work(&plan->problem, plan->problem.batch);
    size_t sums = (size_t)work.chunks * work.pixels * plan->problem.out;
    plan->workspace_bytes = a_bytes(&work) + b_bytes(&work) + sums * sizeof(float);
    plan->run = run;
    return VGG_OK;
}

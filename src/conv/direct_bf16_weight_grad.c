/* direct-bf16, weight gradient: dw[tap] = x transposed times dy, summed over the pixels whose input under the tap lies inside the
 * map.
 *
 * The pairs that VDPBF16PS multiplies are the same pixel of two images, 2q and 2q+1, so that the same taps are valid for both. x is
 * packed as [image block][row tile][pixel][image pair][rows][2], dy as [image block][panel][pixel][image pair][PANEL][2]: the
 * pixels of a line of the map are consecutive steps of both. A row tile is the input channels of a gemm tile. An image block is as
 * many image pairs as keep one row tile's and one panel's pixels in the level-2 cache while all taps use them.
 */
#include <omp.h>

#include "vgg11/conv/progress_poll.h"
#include "conv/direct_bf16.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

enum { CACHE_BYTES = 512 * 1024, STREAM_BYTES = 4 * 1024 * 1024, CHANNEL_TILE_ELEMENTS = 2 * TILE_ROWS };

typedef struct {
    const conv_problem *problem;
    const conv_arguments *arguments;
    int pixels;
    int pairs;       /* image pairs of this call */
    int block_pairs; /* image pairs of an image block; the last may have fewer */
    int image_blocks;
    int tile_rows; /* input channels of a row tile; the last may have fewer */
    int row_tiles;
    int panels;
    size_t a_block; /* elements of an image block of a */
    size_t b_block; /* elements of an image block of b */
    bf16 *a;        /* x, packed */
    bf16 *b;        /* dy, packed */
    float *sums;    /* dy summed over the images of a block: [image block][pixel][out] */
    bool stream;    /* dw is stored past the caches: it would have been evicted before it is read */
} weight_grad_pass;

static weight_grad_pass weight_grad_pass_of(const conv_problem *p, int images)
{
    weight_grad_pass pass = {.problem = p, .pixels = p->side * p->side, .pairs = int_divide_up(images, 2)};
    int pair_bytes = pass.pixels * (PANEL_STEP + CHANNEL_TILE_ELEMENTS) * (int)sizeof(bf16);
    int fitting = int_max(1, CACHE_BYTES / pair_bytes);
    pass.image_blocks = int_divide_up(pass.pairs, fitting);
    pass.block_pairs = int_divide_up(pass.pairs, pass.image_blocks);
    pass.row_tiles = int_divide_up(p->in, TILE_ROWS);
    pass.tile_rows = int_divide_up(p->in, pass.row_tiles);
    pass.panels = int_divide_up(p->out, PANEL);
    pass.a_block = (size_t)pass.block_pairs * pass.pixels * pass.row_tiles * pass.tile_rows * 2;
    pass.b_block = (size_t)pass.block_pairs * pass.pixels * pass.panels * PANEL_STEP;
    return pass;
}

/* A last image block of fewer pairs begins where block_pairs says, and is dense inside. */
static int pairs_in(const weight_grad_pass *pass, int block)
{
    return int_min(pass->pairs - block * pass->block_pairs, pass->block_pairs);
}

static int images_in(const weight_grad_pass *pass, int block)
{
    return int_min(pass->arguments->n - 2 * block * pass->block_pairs, 2 * pass->block_pairs);
}

static int rows_in(const weight_grad_pass *pass, int tile)
{
    return int_min(pass->problem->in - tile * pass->tile_rows, pass->tile_rows);
}

static int columns_in(const weight_grad_pass *pass, int panel) { return int_min(pass->problem->out - panel * PANEL, PANEL); }

/* Where the pairs of a pixel start, in part `part` (a row tile or a panel, `part_width` elements a step) of an image block of
 * `block_size` elements; `width` is that of this part, since a last row tile of fewer rows is dense inside, too. */
static size_t packed_offset(const weight_grad_pass *pass, size_t block_size, int block, int part, size_t part_width, int pixel,
                            size_t width)
{
    size_t pairs = pairs_in(pass, block);
    return block * block_size + pairs * (part * part_width * pass->pixels + pixel * width);
}

static bf16 *a_at(const weight_grad_pass *pass, int block, int tile, int pixel)
{
    return pass->a + packed_offset(pass, pass->a_block, block, tile, 2 * pass->tile_rows, pixel, 2 * rows_in(pass, tile));
}

static bf16 *b_at(const weight_grad_pass *pass, int block, int panel, int pixel)
{
    return pass->b + packed_offset(pass, pass->b_block, block, panel, PANEL_STEP, pixel, PANEL_STEP);
}

static void pack_x(const weight_grad_pass *pass, int block, int pixel, int tile)
{
    size_t image = (size_t)pass->pixels * pass->problem->in;
    size_t first = 2 * block * pass->block_pairs * image + (size_t)pixel * pass->problem->in + tile * pass->tile_rows;
    bf16 *out = a_at(pass, block, tile, pixel);
    int images = images_in(pass, block), rows = rows_in(pass, tile);
    if (pass->problem->bf16_x)
        bf16_pack_pairs_bf16(out, pass->arguments->x16 + first, image, images, rows);
    else
        bf16_pack_pairs(out, pass->arguments->x + first, image, images, rows);
}

static void pack_dy(const weight_grad_pass *pass, int block, int pixel, int panel)
{
    int out = pass->problem->out, columns = columns_in(pass, panel), images = images_in(pass, block);
    size_t image = (size_t)pass->pixels * out;
    size_t first = 2 * block * pass->block_pairs * image + (size_t)pixel * out + panel * PANEL;
    float *sums = pass->sums + ((size_t)block * pass->pixels + pixel) * out + panel * PANEL;
    bf16 *packed = b_at(pass, block, panel, pixel);
    if (pass->problem->bf16_y) {
        bf16_pack_row_pairs_bf16(packed, pass->arguments->dy16 + first, image, images, columns);
        bf16_column_sums(sums, pass->arguments->dy16 + first, image, images, columns);
    } else {
        bf16_pack_row_pairs(packed, pass->arguments->dy + first, image, images, columns);
        float_column_sums(sums, pass->arguments->dy + first, image, images, columns);
    }
}

static void pack_operands(const weight_grad_pass *pass)
{
#pragma omp for collapse(3) schedule(static) nowait
    for (int block = 0; block < pass->image_blocks; block++) {
        for (int pixel = 0; pixel < pass->pixels; pixel++) {
            for (int tile = 0; tile < pass->row_tiles; tile++) pack_x(pass, block, pixel, tile);
        }
    }
#pragma omp for collapse(3) schedule(static)
    for (int block = 0; block < pass->image_blocks; block++) {
        for (int pixel = 0; pixel < pass->pixels; pixel++) {
            for (int panel = 0; panel < pass->panels; panel++) pack_dy(pass, block, pixel, panel);
        }
    }
}

static void multiply(const weight_grad_pass *pass, int block, int panel, int tile_index, int tap)
{
    const conv_problem *p = pass->problem;
    int rows = rows_in(pass, tile_index), pairs = pairs_in(pass, block);
    int down = tap / p->kernel - p->kernel / 2, right = tap % p->kernel - p->kernel / 2;
    int h = int_max(0, -down), h_end = int_min(p->side, p->side - down);
    int w = int_max(0, -right), w_end = int_min(p->side, p->side - right);
    gemm_bf16_tile tile = {.lines = h_end - h, .steps = (w_end - w) * pairs, .c_stride = p->out};
    tile.a = a_at(pass, block, tile_index, (h + down) * p->side + w + right);
    tile.b = b_at(pass, block, panel, h * p->side + w);
    tile.a_line = (size_t)p->side * pairs * 2 * rows;
    tile.b_line = (size_t)p->side * pairs * PANEL_STEP;
    tile.c = pass->arguments->dw + ((size_t)tap * p->in + tile_index * pass->tile_rows) * p->out + panel * PANEL;
    tile.columns = columns_in(pass, panel);
    tile.accumulate = block > 0;
    tile.stream = pass->stream && tile.columns == PANEL;
    gemm_bf16_tile_product[rows](&tile);
}

/* A thread has the same tasks in all image blocks, so that it adds to dw without a lock and in the same order for any number of
 * threads. */
static void multiply_own_tasks(const weight_grad_pass *pass, int thread, int threads)
{
    int taps = pass->problem->kernel * pass->problem->kernel;
    vgg_range own = range_part((size_t)pass->panels * pass->row_tiles * taps, threads, thread);
    for (int block = 0; block < pass->image_blocks; block++) {
        for (int task = (int)own.first; task < (int)(own.first + own.count); task++) {
            multiply(pass, block, task / taps % pass->panels, task / taps / pass->panels, task % taps);
            progress_poll();
        }
    }
}

static void sum_bias_gradient(const weight_grad_pass *pass)
{
    int out = pass->problem->out;
#pragma omp for schedule(static) nowait
    for (int panel = 0; panel < pass->panels; panel++) {
        float_column_sums(pass->arguments->db + panel * PANEL, pass->sums + panel * PANEL, out, pass->image_blocks * pass->pixels,
                          columns_in(pass, panel));
    }
}

static size_t a_bytes(const weight_grad_pass *pass) { return vgg_round_up(pass->image_blocks * pass->a_block * sizeof(bf16), 64); }

static size_t b_bytes(const weight_grad_pass *pass) { return vgg_round_up(pass->image_blocks * pass->b_block * sizeof(bf16), 64); }

/* Streaming stores need whole, aligned cache lines, and tiles that are stored once: those of a single image block. */
static bool can_stream(const weight_grad_pass *pass)
{
    const conv_problem *p = pass->problem;
    bool aligned = (uintptr_t)pass->arguments->dw % VGG_ALIGNMENT_BYTES == 0 && p->out % 16 == 0;
    return aligned && pass->image_blocks == 1 && (size_t)p->kernel * p->kernel * p->in * p->out * sizeof(float) >= STREAM_BYTES;
}

static void run(const conv_plan *plan, const conv_arguments *arguments)
{
    weight_grad_pass pass = weight_grad_pass_of(&plan->problem, arguments->n);
    char *workspace = arguments->workspace;
    pass.arguments = arguments;
    pass.a = (bf16 *)workspace;
    pass.b = (bf16 *)(workspace + a_bytes(&pass));
    pass.stream = can_stream(&pass);
    pass.sums = (float *)(workspace + a_bytes(&pass) + b_bytes(&pass));
#pragma omp parallel num_threads(plan->problem.threads)
    {
        pack_operands(&pass);
        sum_bias_gradient(&pass);
        multiply_own_tasks(&pass, omp_get_thread_num(), omp_get_num_threads());
        if (pass.stream) bf16_finish_streams();
    }
}

/* The workspace grows with the number of images, so that what the largest batch needs is enough for any call. */
vgg_status direct_bf16_plan_weight_grad(conv_plan *plan)
{
    const weight_grad_pass pass = weight_grad_pass_of(&plan->problem, plan->problem.batch);
    size_t sums = (size_t)pass.image_blocks * pass.pixels * plan->problem.out;
    plan->workspace_bytes = a_bytes(&pass) + b_bytes(&pass) + sums * sizeof(float);
    plan->run = run;
    return VGG_OK;
}

/* direct-bf16-amx, weight gradient: dw[tap] = x transposed times dy, summed over the images and the pixels whose input under the
 * tap lies inside the map.
 *
 * The depth of a step is 32 images of one pixel, so that a tap only decides which pixel of x is multiplied with which of dy. x is
 * packed as [row tile][pixel][step][16 channels][32 images], dy as [panel][pixel][step][16 pairs of images][32 channels][2]: the
 * pixels of a line of the map are consecutive steps of both. A row tile is 16 input channels. An image block is so small that the
 * part of x and of dy that a block of sums needs stays in the level-2 cache while all taps use it.
 */
#include "conv/direct_bf16_amx.h"

#include "vgg11/conv/progress_poll.h"
#include "vgg11/conv/parts.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

/* Steps, over all pixels, of an image block. A gradient of STREAM_BYTES or more is stored past the caches: it would have been
 * evicted before it is read. */
enum { IMAGE_BLOCK_STEPS = 256, STREAM_BYTES = 4 << 20, LINE_FLOATS = VGG_ALIGNMENT_BYTES / sizeof(float) };

typedef struct {
    const conv_problem *problem;
    int pixels;
    int positions;   /* of dy in memory: pixels, or windows if it is pooled */
    int block_steps; /* steps of 32 images in an image block; the last block may have fewer */
    int row_tiles;
    int panels;
    const amx_kernels *kernels;
    const conv_arguments *arguments;
    bf16 *a;     /* x, packed */
    bf16 *b;     /* dy, packed */
    float *sums; /* dy summed over 32 images: [step of all images][position][out] */
    bool stream; /* dw is stored past the caches */
} weight_grad_pass;

/* Images first .. first+count-1, which are `steps` steps. */
typedef struct {
    int first;
    int count;
    int steps;
} image_block;

static weight_grad_pass weight_grad_pass_of(const conv_problem *p)
{
    weight_grad_pass pass = {.problem = p, .pixels = p->side * p->side};
    pass.positions = pass.pixels / (p->pool ? 4 : 1);
    pass.block_steps = int_min(int_max(1, IMAGE_BLOCK_STEPS / pass.pixels), int_divide_up(p->batch, AMX_DEPTH));
    pass.row_tiles = int_divide_up(p->in, AMX_ROWS);
    pass.panels = int_divide_up(p->out, AMX_BLOCK);
    return pass;
}

static size_t a_bytes(const weight_grad_pass *pass)
{
    return (size_t)pass->row_tiles * pass->pixels * pass->block_steps * AMX_TILE_ELEMENTS * sizeof(bf16);
}

static size_t b_bytes(const weight_grad_pass *pass)
{
    return (size_t)pass->panels * pass->pixels * pass->block_steps * AMX_PANEL_STEP * sizeof(bf16);
}

static size_t sum_rows(const weight_grad_pass *pass, int images)
{
    return (size_t)int_divide_up(images, AMX_DEPTH) * pass->positions;
}

static bf16 *a_at(const weight_grad_pass *pass, const image_block *block, int row_tile, int pixel)
{
    return pass->a + ((size_t)row_tile * pass->pixels + pixel) * block->steps * AMX_TILE_ELEMENTS;
}

static bf16 *b_at(const weight_grad_pass *pass, const image_block *block, int panel, int pixel)
{
    return pass->b + ((size_t)panel * pass->pixels + pixel) * block->steps * AMX_PANEL_STEP;
}

static amx_source map_at(bool is_bf16, const void *map, size_t at)
{
    return is_bf16 ? (amx_source){.bf16 = (const bf16 *)map + at} : (amx_source){.fp32 = (const float *)map + at};
}

/* Packs one pixel and step of row tiles 2 * tile_pair and 2 * tile_pair + 1. */
static void pack_x(const weight_grad_pass *pass, const image_block *block, int step, int pixel, int tile_pair)
{
    const conv_problem *p = pass->problem;
    size_t image = (size_t)block->first + (size_t)step * AMX_DEPTH, channel = (size_t)tile_pair * AMX_BLOCK;
    amx_pixel from = {.stride = (size_t)pass->pixels * p->in, .images = int_min(block->count - step * AMX_DEPTH, AMX_DEPTH)};
    from.map = map_at(p->bf16_x, pass->arguments->x, (image * pass->pixels + pixel) * p->in + channel);
    from.count = int_min(p->in - (int)channel, AMX_BLOCK);
    bf16 *to = a_at(pass, block, 2 * tile_pair, pixel) + (size_t)step * AMX_TILE_ELEMENTS;
    pass->kernels->pack_across(to, (size_t)pass->pixels * block->steps * AMX_TILE_ELEMENTS, &from);
}

/* Packs one position and step of a panel, and sums it over the images. */
static void pack_dy(const weight_grad_pass *pass, const image_block *block, int step, int position, int panel)
{
    const conv_problem *p = pass->problem;
    size_t image = (size_t)block->first + (size_t)step * AMX_DEPTH, channel = (size_t)panel * AMX_BLOCK;
    size_t at = (image * pass->positions + position) * p->out + channel;
    amx_pixel from = {.stride = (size_t)pass->positions * p->out, .images = int_min(block->count - step * AMX_DEPTH, AMX_DEPTH)};
    from.map = map_at(p->bf16_y, pass->arguments->dy, at);
    from.pool_argmax = p->pool ? pass->arguments->pool_argmax + at : NULL;
    from.count = int_min(p->out - (int)channel, AMX_BLOCK);
    from.right = (size_t)block->steps * AMX_PANEL_STEP;
    from.down = from.right * p->side;
    int pixel = p->pool ? window_pixel(p->side, position) : position;
    bf16 *to = b_at(pass, block, panel, pixel) + (size_t)step * AMX_PANEL_STEP;
    pass->kernels->pack_pairs(to, &from, pass->sums + (image / AMX_DEPTH * pass->positions + position) * p->out + channel);
}

static void pack_operands(const weight_grad_pass *pass, const image_block *block)
{
    int tile_pairs = int_divide_up(pass->problem->in, AMX_BLOCK);
#pragma omp for collapse(3) schedule(static) nowait
    for (int tile_pair = 0; tile_pair < tile_pairs; tile_pair++) {
        for (int pixel = 0; pixel < pass->pixels; pixel++) {
            for (int step = 0; step < block->steps; step++) pack_x(pass, block, step, pixel, tile_pair);
        }
    }
#pragma omp for collapse(3) schedule(static)
    for (int panel = 0; panel < pass->panels; panel++) {
        for (int position = 0; position < pass->positions; position++) {
            for (int step = 0; step < block->steps; step++) pack_dy(pass, block, step, position, panel);
        }
    }
}

static amx_product describe_product(const weight_grad_pass *pass, const image_block *block, int row_tile, int panel, int tap)
{
    const conv_problem *p = pass->problem;
    int down = tap / p->kernel - p->kernel / 2, right = tap % p->kernel - p->kernel / 2;
    int h = int_max(0, -down), h_end = int_min(p->side, p->side - down);
    int w = int_max(0, -right), w_end = int_min(p->side, p->side - right);
    amx_product product = {.batches = 1, .steps = (w_end - w) * block->steps};
    product.batch[0].a = a_at(pass, block, row_tile, (h + down) * p->side + w + right);
    product.batch[0].b = b_at(pass, block, panel, h * p->side + w);
    product.batch[0].lines = h_end - h;
    product.batch[0].a_line = (ptrdiff_t)p->side * block->steps * AMX_TILE_ELEMENTS;
    product.batch[0].b_line = (ptrdiff_t)p->side * block->steps * AMX_PANEL_STEP;
    product.a_second = (ptrdiff_t)pass->pixels * block->steps * AMX_TILE_ELEMENTS;
    product.two_rows = row_tile + 1 < pass->row_tiles;
    product.two_columns = p->out - panel * AMX_BLOCK > AMX_ROWS;
    return product;
}

/* Adds to the sums of an image block what the blocks before have left in dw. */
static void add_previous_blocks(const weight_grad_pass *pass, float *dw, float *sums, int rows, int columns)
{
    for (int i = 0; i < rows; i++) {
        for (int k = 0; k < columns; k++) sums[i * AMX_BLOCK + k] += dw[(size_t)i * pass->problem->out + k];
    }
}

static void multiply(const weight_grad_pass *pass, const image_block *block, int row_tile, int panel, int tap)
{
    _Alignas(VGG_ALIGNMENT_BYTES) float sums[AMX_BLOCK * AMX_BLOCK];
    const conv_problem *p = pass->problem;
    amx_prefetch nothing = {0};
    int row = row_tile * AMX_ROWS, column = panel * AMX_BLOCK;
    int rows = int_min(p->in - row, AMX_BLOCK), columns = int_min(p->out - column, AMX_BLOCK);
    float *dw = pass->arguments->dw + ((size_t)tap * p->in + row) * p->out + column;
    amx_product product = describe_product(pass, block, row_tile, panel, tap);
    product.sums = sums;
    product.sums_stride = AMX_BLOCK;
    product.prefetch = &nothing;
    pass->kernels->multiply(&product);
    if (block->first > 0) add_previous_blocks(pass, dw, sums, rows, columns);
    pass->kernels->store(dw, (size_t)p->out, sums, rows, columns, pass->stream && columns == AMX_BLOCK);
    progress_poll();
}

/* One thread makes each sum of an image block, and the blocks come in order, so that sums do not depend on the number of
 * threads. */
static void multiply_image_block(const weight_grad_pass *pass, const image_block *block)
{
    int tile_pairs = int_divide_up(pass->row_tiles, 2), taps = pass->problem->kernel * pass->problem->kernel;
#pragma omp for schedule(dynamic, 16 / taps + 1)
    for (int task = 0; task < tile_pairs * pass->panels; task++) {
        for (int tap = 0; tap < taps; tap++) multiply(pass, block, 2 * (task / pass->panels), task % pass->panels, tap);
    }
}

static void sum_bias_gradient(const weight_grad_pass *pass)
{
    int out = pass->problem->out;
#pragma omp for schedule(static) nowait
    for (int panel = 0; panel < pass->panels; panel++) {
        vgg_range columns = {(size_t)panel * AMX_BLOCK, (size_t)int_min(out - panel * AMX_BLOCK, AMX_BLOCK)};
        conv_sum_rows(pass->sums, (size_t)out, sum_rows(pass, pass->arguments->n), columns, pass->arguments->db);
    }
}

/* Streaming stores need whole, aligned cache lines, and sums that are stored once: those of a single image block. */
static bool can_stream(const weight_grad_pass *pass)
{
    const conv_problem *p = pass->problem;
    bool aligned = (uintptr_t)pass->arguments->dw % VGG_ALIGNMENT_BYTES == 0 && p->out % LINE_FLOATS == 0;
    bool once = pass->arguments->n <= pass->block_steps * AMX_DEPTH;
    return aligned && once && (size_t)p->kernel * p->kernel * p->in * p->out * sizeof(float) >= STREAM_BYTES;
}

static void run(const conv_plan *plan, const conv_arguments *arguments)
{
    weight_grad_pass pass = weight_grad_pass_of(&plan->problem);
    char *workspace = arguments->workspace;
    pass.kernels = direct_bf16_amx_kernels(plan);
    pass.arguments = arguments;
    pass.a = (bf16 *)workspace;
    pass.b = (bf16 *)(workspace + a_bytes(&pass));
    pass.sums = (float *)(workspace + a_bytes(&pass) + b_bytes(&pass));
    pass.stream = can_stream(&pass);
#pragma omp parallel num_threads(plan->problem.threads)
    {
        pass.kernels->begin();
        for (int first = 0; first < arguments->n; first += pass.block_steps * AMX_DEPTH) {
            image_block block = {.first = first, .count = int_min(arguments->n - first, pass.block_steps * AMX_DEPTH)};
            block.steps = int_divide_up(block.count, AMX_DEPTH);
            pack_operands(&pass, &block);
            multiply_image_block(&pass, &block);
        }
        sum_bias_gradient(&pass);
        if (pass.stream) pass.kernels->finish_stores();
        pass.kernels->end();
    }
}

/* The workspace grows with the number of images, so that what the largest batch needs is enough for any call. */
void direct_bf16_amx_plan_weight_grad(conv_plan *plan)
{
    const weight_grad_pass pass = weight_grad_pass_of(&plan->problem);
    size_t sums = sum_rows(&pass, plan->problem.batch) * plan->problem.out;
    plan->workspace_bytes = a_bytes(&pass) + b_bytes(&pass) + sums * sizeof(float);
    plan->run = run;
}

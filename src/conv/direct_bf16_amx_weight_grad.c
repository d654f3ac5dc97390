/* direct-bf16-amx, weight gradient: dw[tap] = x^T dy, summed over the images and over the pixels at which the tap is inside the map.
 *
 * The depth of a tile is 32 images of one pixel, so all that a tap moves is which pixel of x meets which of dy. x is packed as
 * [16 channels][pixel][16 channels][32 images], dy as [panel of 32 outputs][pixel][16 pairs of images][32][2]: the pixels of a line
 * are one run of steps for both. A chunk is as many images as let one block's part of x and of dy stay in the level-2 cache while all
 * taps use them.
 */
#include "conv/direct_bf16_amx.h"

#include "vgg11/conv/progress_poll.h"
#include "vgg11/conv/parts.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

enum { CHUNK_STEPS = 256, STREAM_BYTES = 4 << 20, LINE_FLOATS = VGG_ALIGNMENT_BYTES / sizeof(float) };

typedef struct {
    const conv_problem *problem;
    int pixels;
    int sum_units;   /* pixels, or windows if dy is pooled: db is summed over each first */
    int chunk_steps; /* of 32 images, in the largest chunk */
    int row_tiles;   /* of dw: 16 input channels */
    int panels;      /* 32 outputs */
    const amx_kernels *kernels;
    const conv_arguments *arguments;
    bf16 *a;
    bf16 *b;
    float *sums; /* db's parts: [32 images][unit][out] */
    bool stream;
} weight_work;

/* Images first .. first+count-1, packed [..][pixel][step]. */
typedef struct {
    int first;
    int count;
    int steps;
} image_chunk;

static int divide_up(int a, int b) { return (a + b - 1) / b; }

static int smaller(int a, int b) { return a < b ? a : b; }

static int larger(int a, int b) { return a > b ? a : b; }

static weight_work describe_work(const conv_problem *p)
{
    weight_work work = {.problem = p, .pixels = p->side * p->side};
    work.sum_units = work.pixels / (p->pool ? 4 : 1);
    work.chunk_steps = smaller(larger(1, CHUNK_STEPS / work.pixels), divide_up(p->batch, AMX_DEPTH));
    work.row_tiles = divide_up(p->in, AMX_ROWS);
    work.panels = divide_up(p->out, AMX_BLOCK);
    return work;
}

static size_t a_bytes(const weight_work *work)
{
    return (size_t)work->row_tiles * work->pixels * work->chunk_steps * AMX_TILE_ELEMENTS * sizeof(bf16);
}

static size_t b_bytes(const weight_work *work)
{
    return (size_t)work->panels * work->pixels * work->chunk_steps * AMX_PANEL_STEP * sizeof(bf16);
}

static size_t sum_rows(const weight_work *work, int images) { return (size_t)divide_up(images, AMX_DEPTH) * work->sum_units; }

static bf16 *a_at(const weight_work *work, const image_chunk *chunk, int row_tile, int pixel)
{
    return work->a + ((size_t)row_tile * work->pixels + pixel) * chunk->steps * AMX_TILE_ELEMENTS;
}

static bf16 *b_at(const weight_work *work, const image_chunk *chunk, int panel, int pixel)
{
    return work->b + ((size_t)panel * work->pixels + pixel) * chunk->steps * AMX_PANEL_STEP;
}

static amx_source map_at(bool narrow, const void *map, size_t at)
{
    return narrow ? (amx_source){.narrow = (const bf16 *)map + at} : (amx_source){.wide = (const float *)map + at};
}

/* Input channels 32 * block and on, of 32 images. */
static void pack_x(const weight_work *work, const image_chunk *chunk, int step, int pixel, int block)
{
    const conv_problem *p = work->problem;
    size_t image = (size_t)chunk->first + (size_t)step * AMX_DEPTH, channel = (size_t)block * AMX_BLOCK;
    amx_pixel from = {.stride = (size_t)work->pixels * p->in, .images = smaller(chunk->count - step * AMX_DEPTH, AMX_DEPTH)};
    from.map = map_at(p->bf16_x, work->arguments->x, (image * work->pixels + pixel) * p->in + channel);
    from.count = smaller(p->in - (int)channel, AMX_BLOCK);
    bf16 *to = a_at(work, chunk, 2 * block, pixel) + (size_t)step * AMX_TILE_ELEMENTS;
    work->kernels->pack_across(to, (size_t)work->pixels * chunk->steps * AMX_TILE_ELEMENTS, &from);
}

static int window_pixel(int side, int index) { return index / (side / 2) * 2 * side + index % (side / 2) * 2; }

static void pack_dy(const weight_work *work, const image_chunk *chunk, int step, int unit, int panel)
{
    const conv_problem *p = work->problem;
    size_t image = (size_t)chunk->first + (size_t)step * AMX_DEPTH, channel = (size_t)panel * AMX_BLOCK;
    size_t at = (image * work->sum_units + unit) * p->out + channel;
    amx_pixel from = {.stride = (size_t)work->sum_units * p->out, .images = smaller(chunk->count - step * AMX_DEPTH, AMX_DEPTH)};
    from.map = map_at(p->bf16_y, work->arguments->dy, at);
    from.pool_argmax = p->pool ? work->arguments->pool_argmax + at : NULL;
    from.count = smaller(p->out - (int)channel, AMX_BLOCK);
    from.right = (size_t)chunk->steps * AMX_PANEL_STEP;
    from.down = from.right * p->side;
    int pixel = p->pool ? window_pixel(p->side, unit) : unit;
    bf16 *to = b_at(work, chunk, panel, pixel) + (size_t)step * AMX_PANEL_STEP;
    work->kernels->pack_pairs(to, &from, work->sums + (image / AMX_DEPTH * work->sum_units + unit) * p->out + channel);
}

static void pack_operands(const weight_work *work, const image_chunk *chunk)
{
    int blocks = divide_up(work->problem->in, AMX_BLOCK);
#pragma omp for collapse(3) schedule(static) nowait
    for (int block = 0; block < blocks; block++) {
        for (int pixel = 0; pixel < work->pixels; pixel++) {
            for (int step = 0; step < chunk->steps; step++) pack_x(work, chunk, step, pixel, block);
        }
    }
#pragma omp for collapse(3) schedule(static)
    for (int panel = 0; panel < work->panels; panel++) {
        for (int unit = 0; unit < work->sum_units; unit++) {
            for (int step = 0; step < chunk->steps; step++) pack_dy(work, chunk, step, unit, panel);
        }
    }
}

static amx_product describe_product(const weight_work *work, const image_chunk *chunk, int row_tile, int panel, int tap)
{
    const conv_problem *p = work->problem;
    int down = tap / p->kernel - p->kernel / 2, right = tap % p->kernel - p->kernel / 2;
    int h = larger(0, -down), h_end = smaller(p->side, p->side - down);
    int w = larger(0, -right), w_end = smaller(p->side, p->side - right);
    amx_product product = {.runs = 1, .steps = (w_end - w) * chunk->steps};
    product.run[0].a = a_at(work, chunk, row_tile, (h + down) * p->side + w + right);
    product.run[0].b = b_at(work, chunk, panel, h * p->side + w);
    product.run[0].lines = h_end - h;
    product.run[0].a_line = (ptrdiff_t)p->side * chunk->steps * AMX_TILE_ELEMENTS;
    product.run[0].b_line = (ptrdiff_t)p->side * chunk->steps * AMX_PANEL_STEP;
    product.a_second = (ptrdiff_t)work->pixels * chunk->steps * AMX_TILE_ELEMENTS;
    product.two_rows = row_tile + 1 < work->row_tiles;
    product.two_columns = p->out - panel * AMX_BLOCK > AMX_ROWS;
    return product;
}

/* Onto what the chunks before gave. */
static void add_block(const weight_work *work, float *dw, float *sums, int rows, int columns)
{
    for (int i = 0; i < rows; i++) {
        for (int k = 0; k < columns; k++) sums[i * AMX_BLOCK + k] += dw[(size_t)i * work->problem->out + k];
    }
}

static void multiply(const weight_work *work, const image_chunk *chunk, int row_tile, int panel, int tap)
{
    _Alignas(VGG_ALIGNMENT_BYTES) float sums[AMX_BLOCK * AMX_BLOCK];
    const conv_problem *p = work->problem;
    amx_fetch nothing = {0};
    int row = row_tile * AMX_ROWS, column = panel * AMX_BLOCK;
    int rows = smaller(p->in - row, AMX_BLOCK), columns = smaller(p->out - column, AMX_BLOCK);
    float *dw = work->arguments->dw + ((size_t)tap * p->in + row) * p->out + column;
    amx_product product = describe_product(work, chunk, row_tile, panel, tap);
    product.sums = sums;
    product.sums_stride = AMX_BLOCK;
    product.fetch = &nothing;
    work->kernels->multiply(&product);
    if (chunk->first > 0) add_block(work, dw, sums, rows, columns);
    work->kernels->store(dw, (size_t)p->out, sums, rows, columns, work->stream && columns == AMX_BLOCK);
    progress_poll();
}

/* Every sum has one owner in each chunk, and the chunks come in order: the same for any number of threads. */
static void multiply_chunk(const weight_work *work, const image_chunk *chunk)
{
    int blocks = divide_up(work->row_tiles, 2), taps = work->problem->kernel * work->problem->kernel;
#pragma omp for schedule(dynamic, 16 / taps + 1)
    for (int item = 0; item < blocks * work->panels; item++) {
        for (int tap = 0; tap < taps; tap++) multiply(work, chunk, 2 * (item / work->panels), item % work->panels, tap);
    }
}

static void add_bias_parts(const weight_work *work)
{
    int out = work->problem->out;
#pragma omp for schedule(static) nowait
    for (int panel = 0; panel < work->panels; panel++) {
        vgg_range columns = {(size_t)panel * AMX_BLOCK, (size_t)smaller(out - panel * AMX_BLOCK, AMX_BLOCK)};
        conv_sum_rows(work->sums, (size_t)out, sum_rows(work, work->arguments->n), columns, work->arguments->db);
    }
}

/* Streaming stores need whole aligned lines, and one pass over each block. */
static bool can_stream(const weight_work *work)
{
    const conv_problem *p = work->problem;
    bool aligned = (uintptr_t)work->arguments->dw % VGG_ALIGNMENT_BYTES == 0 && p->out % LINE_FLOATS == 0;
    bool once = work->arguments->n <= work->chunk_steps * AMX_DEPTH;
    return aligned && once && (size_t)p->kernel * p->kernel * p->in * p->out * sizeof(float) >= STREAM_BYTES;
}

static void run(const conv_plan *plan, const conv_arguments *arguments)
{
    weight_work work = describe_work(&plan->problem);
    char *workspace = arguments->workspace;
    work.kernels = bf16_amx_kernels(plan);
    work.arguments = arguments;
    work.a = (bf16 *)workspace;
    work.b = (bf16 *)(workspace + a_bytes(&work));
    work.sums = (float *)(workspace + a_bytes(&work) + b_bytes(&work));
    work.stream = can_stream(&work);
#pragma omp parallel num_threads(plan->problem.threads)
    {
        work.kernels->begin();
        for (int first = 0; first < arguments->n; first += work.chunk_steps * AMX_DEPTH) {
            image_chunk chunk = {.first = first, .count = smaller(arguments->n - first, work.chunk_steps * AMX_DEPTH)};
            chunk.steps = divide_up(chunk.count, AMX_DEPTH);
            pack_operands(&work, &chunk);
            multiply_chunk(&work, &chunk);
        }
        add_bias_parts(&work);
        if (work.stream) work.kernels->finish_stores();
        work.kernels->end();
    }
}

/* The room grows with the images, so the batch's is enough for any call. */
void bf16_amx_plan_weights(conv_plan *plan)
{
    const weight_work work = describe_work(&plan->problem);
    size_t sums = sum_rows(&work, plan->problem.batch) * plan->problem.out;
    plan->workspace_bytes = a_bytes(&work) + b_bytes(&work) + sums * sizeof(float);
    plan->run = run;
}

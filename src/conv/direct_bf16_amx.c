/* direct-bf16-amx: products of matrix tiles, for convolutions and dense layers.
 *
 * The rows of a matrix tile are images: one pixel of 16 of them, whose maps are packed as [16 images][pixel][32 channels] first. So
 * all rows of a tile have the same valid taps, no product with the padding is made, and maps of any side fill the tiles. Forward
 * and input gradient are one routine, the forward pass. It packs a block of images that stays in the level-2 cache, and multiplies
 * it by panels of weights for 32 outputs, which are rounded and paired from the fp32 ones: each by the thread that is about to use
 * it, if it is used once, else all of them before the products. A packed copy kept from one training step to the next would cost
 * more traffic than it saves.
 */
#include "conv/direct_bf16_amx.h"

#include <omp.h>

#include "vgg11/conv/progress_poll.h"
#include "vgg11/base/cpu.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

enum {
    LINE_FLOATS = VGG_ALIGNMENT_BYTES / sizeof(float),
    IMAGE_BLOCK_BYTES = 1 << 20,    /* of packed images for each thread */
    PACKED_WEIGHTS_BYTES = 3 << 19, /* of all packed panels, if they are to stay in the cache beside a pixel's neighbours */
    TASKS_A_THREAD = 4,
    DEPTH_BLOCK_STEPS = 8,
    BLOCK_SUMS = AMX_BLOCK * AMX_BLOCK
};

/* What follows from the problem and the pass; then what a call adds. The result is computed in output tiles: a panel's channels of
 * the images of an image tile, at one pixel, at two neighbours, or at the four pixels of a pooling window. */
typedef struct {
    const conv_problem *problem;
    bool forward;
    int in;  /* channels of the map that is read */
    int out; /* channels of the map that is written */
    int pixels;
    int taps;
    int steps; /* of depth, for each pixel and tap */
    int panels;
    int block_images; /* most images that are packed at a time, a multiple of AMX_ROWS */
    int image_blocks;
    bool pixel_pairs;         /* the rows of a block of sums are two pixels of 16 images, not one pixel of 32 */
    int tile_images;          /* images of an image tile, those of a block of sums: 16 or 32 */
    bool packed_weights_kept; /* all panels are packed before the products, and kept until the end of the call */
    int block_steps;          /* steps of a depth block, packed at a time; only panels of dense layers have several depth blocks */
    size_t panel_size;        /* elements of a packed panel, or of its depth block */
    size_t image_size;        /* elements of 16 packed images */
    const amx_kernels *kernels;
    const conv_arguments *arguments;
    bf16 *images;    /* the packed image block */
    bf16 *weights;   /* packed panels: all of them, or one for each thread */
    float *partials; /* for each thread the sums of a panel with all images of a block, if there are several depth blocks */
} forward_pass;

/* A panel, to be multiplied with some or all images of an image block. */
typedef struct {
    int first_image; /* of the image block */
    int images;      /* of the image block */
    int column;      /* the panel's first */
    const bf16 *panel;
    amx_prefetch *prefetch;
} panel_task;

static bool reads_windows(const forward_pass *pass) { return pass->problem->pool && !pass->forward; }

static bool writes_windows(const forward_pass *pass) { return pass->problem->pool && pass->forward; }

/* Cuts the images into blocks of equal size, except that the last may be smaller. */
static void cut_images(forward_pass *pass)
{
    const conv_problem *p = pass->problem;
    int tiles = int_divide_up(p->batch, pass->tile_images);
    size_t tile_bytes = (size_t)(pass->tile_images / AMX_ROWS) * pass->image_size * sizeof(bf16);
    int fitting = int_max(1, (int)((size_t)IMAGE_BLOCK_BYTES * p->threads / tile_bytes));
    pass->image_blocks = int_divide_up(tiles, fitting);
    pass->block_images = int_min(int_divide_up(tiles, pass->image_blocks) * pass->tile_images,
                                 int_divide_up(p->batch, AMX_ROWS) * AMX_ROWS);
}

/* Whether tasks of whole panels let the threads finish together, or nearly. */
static bool panels_suffice(const forward_pass *pass)
{
    int threads = pass->problem->threads;
    return pass->panels % threads == 0 || pass->panels >= TASKS_A_THREAD * threads;
}

static forward_pass forward_pass_of(const conv_problem *p, bool forward)
{
    forward_pass pass = {.problem = p, .forward = forward, .pixels = p->side * p->side, .taps = p->kernel * p->kernel};
    pass.in = pass.forward ? p->in : p->out;
    pass.out = pass.forward ? p->out : p->in;
    pass.steps = int_divide_up(pass.in, AMX_DEPTH);
    pass.panels = int_divide_up(pass.out, AMX_BLOCK);
    pass.image_size = (size_t)pass.pixels * pass.steps * AMX_TILE_ELEMENTS;
    pass.pixel_pairs = p->kernel == 3 && p->side % 2 == 0;
    pass.tile_images = pass.pixel_pairs ? AMX_ROWS : AMX_BLOCK;
    cut_images(&pass);
    pass.packed_weights_kept = pass.image_blocks > 1 || !panels_suffice(&pass);
    bool whole_panels = pass.packed_weights_kept || p->kernel > 1 || p->side > 1;
    pass.block_steps = whole_panels ? pass.steps : int_min(pass.steps, DEPTH_BLOCK_STEPS);
    pass.panel_size = (size_t)pass.taps * pass.block_steps * AMX_PANEL_STEP;
    return pass;
}

static size_t images_bytes(const forward_pass *pass)
{
    return (size_t)(pass->block_images / AMX_ROWS) * pass->image_size * sizeof(bf16);
}

static size_t weights_bytes(const forward_pass *pass)
{
    return (size_t)(pass->packed_weights_kept ? pass->panels : pass->problem->threads) * pass->panel_size * sizeof(bf16);
}

/* Floats of one thread's partial sums. */
static size_t partial_size(const forward_pass *pass)
{
    return pass->block_steps < pass->steps ? (size_t)int_divide_up(pass->block_images, AMX_BLOCK) * BLOCK_SUMS : 0;
}

static amx_source source_of(const forward_pass *pass)
{
    const conv_arguments *a = pass->arguments;
    if (pass->forward) return pass->problem->bf16_x ? (amx_source){.bf16 = a->x16} : (amx_source){.fp32 = a->x};
    return pass->problem->bf16_y ? (amx_source){.bf16 = a->dy16} : (amx_source){.fp32 = a->dy};
}

static amx_source source_from(amx_source source, size_t offset)
{
    if (source.bf16) source.bf16 += offset;
    if (source.fp32) source.fp32 += offset;
    return source;
}

/* Packs one position, a pixel or, where the map is pooled, a window, of 16 images: those of matrix tile `tile` of the image
 * block. */
static void pack_position(const forward_pass *pass, int first_image, int images, int tile, int position)
{
    bool windows = reads_windows(pass);
    size_t positions = (size_t)pass->pixels / (windows ? 4 : 1), image = (size_t)first_image + (size_t)tile * AMX_ROWS;
    int target = windows ? window_pixel(pass->problem->side, position) : position;
    bf16 *to = pass->images + (size_t)tile * pass->image_size + (size_t)target * pass->steps * AMX_TILE_ELEMENTS;
    size_t from = (image * positions + (size_t)position) * pass->in;
    amx_pixel pixel = {.stride = positions * pass->in, .images = images - tile * AMX_ROWS};
    pixel.right = (size_t)pass->steps * AMX_TILE_ELEMENTS;
    pixel.down = pixel.right * pass->problem->side;
    for (int step = 0; step < pass->steps; step++) {
        size_t at = from + (size_t)step * AMX_DEPTH;
        pixel.map = source_from(source_of(pass), at);
        pixel.pool_argmax = windows ? pass->arguments->pool_argmax + at : NULL;
        pixel.count = int_min(pass->in - step * AMX_DEPTH, AMX_DEPTH);
        pass->kernels->pack_images(to + (size_t)step * AMX_TILE_ELEMENTS, &pixel);
    }
}

static void pack_images(const forward_pass *pass, int first_image, int images)
{
    int tiles = int_divide_up(images, AMX_ROWS), positions = pass->pixels / (reads_windows(pass) ? 4 : 1);
#pragma omp for collapse(2) schedule(static)
    for (int tile = 0; tile < tiles; tile++) {
        for (int position = 0; position < positions; position++) pack_position(pass, first_image, images, tile, position);
    }
}

/* Packs the depth block of a panel that begins at step first_step, of all taps. */
static void pack_depth_block(const forward_pass *pass, bf16 *to, int panel, int first_step)
{
    const conv_problem *p = pass->problem;
    int column = panel * AMX_BLOCK, columns = int_min(pass->out - column, AMX_BLOCK), channel = first_step * AMX_DEPTH;
    int channels = int_min(pass->in - channel, pass->block_steps * AMX_DEPTH);
    for (int tap = 0; tap < pass->taps; tap++, to += (size_t)pass->block_steps * AMX_PANEL_STEP) {
        const float *w = pass->arguments->w + (size_t)tap * p->in * p->out;
        if (pass->forward)
            pass->kernels->pack_rows(to, w + (size_t)channel * p->out + column, (size_t)p->out, channels, columns);
        else
            pass->kernels->pack_columns(to, w + (size_t)column * p->out + channel, (size_t)p->out, channels, columns);
    }
}

/* A prefetch, spread over `steps` steps, of the cache lines that pack_depth_block() will read. */
static amx_prefetch prefetch_depth_block(const forward_pass *pass, int panel, int first_step, int steps)
{
    const conv_problem *p = pass->problem;
    int column = panel * AMX_BLOCK, columns = int_min(pass->out - column, AMX_BLOCK), channel = first_step * AMX_DEPTH;
    int channels = int_min(pass->in - channel, pass->block_steps * AMX_DEPTH);
    amx_prefetch next = {.stride = (size_t)p->out};
    if (panel >= pass->panels) return next;
    if (pass->forward) {
        next.first = pass->arguments->w + (size_t)channel * p->out + column;
        next.rows = pass->taps * channels;
        next.width = int_divide_up(columns, LINE_FLOATS);
    } else if (pass->taps == 1) {
        next.first = pass->arguments->w + (size_t)column * p->out + channel;
        next.rows = columns;
        next.width = int_divide_up(channels, LINE_FLOATS);
    } else {
        next.first = pass->arguments->w + (size_t)column * p->out;
        next.stride *= (size_t)p->in;
        next.rows = pass->taps;
        next.width = int_divide_up(columns * p->out, LINE_FLOATS);
    }
    next.lines_a_step = int_divide_up(next.rows * next.width, steps);
    return next;
}

/* Lists the taps that lie inside the map for this pixel of the result: each line of the kernel is a part of the batch, whose lines
 * are its taps. */
static void list_taps(const forward_pass *pass, amx_product *product, const bf16 *images, const bf16 *panel, int pixel)
{
    const int side = pass->problem->side, kernel = pass->problem->kernel, sign = pass->forward ? 1 : -1;
    const int h = pixel / side, w = pixel % side;
    const ptrdiff_t pixel_size = (ptrdiff_t)pass->steps * AMX_TILE_ELEMENTS, tap_size = (ptrdiff_t)pass->steps * AMX_PANEL_STEP;
    product->batches = 0;
    for (int r = 0; r < kernel; r++) {
        int from_h = h + sign * (r - kernel / 2), first = kernel, count = 0;
        if (from_h < 0 || from_h >= side) continue;
        for (int s = kernel - 1; s >= 0; s--) {
            int from_w = w + sign * (s - kernel / 2);
            if (from_w < 0 || from_w >= side) continue;
            first = s;
            count++;
        }
        int from = from_h * side + w + sign * (first - kernel / 2);
        product->batch[product->batches++] = (amx_batch){.a = images + from * pixel_size,
                                                         .b = panel + (r * kernel + first) * tap_size,
                                                         .lines = count,
                                                         .a_line = sign * pixel_size,
                                                         .b_line = tap_size};
    }
}

/* Where the results of an image tile at one pixel or window go, and how they are made of the sums. */
static amx_output describe_output(const forward_pass *pass, const panel_task *task, int image_tile, int position, const float *sums)
{
    const conv_problem *p = pass->problem;
    const conv_arguments *a = pass->arguments;
    size_t positions = (size_t)pass->pixels / (writes_windows(pass) ? 4 : 1);
    size_t image = (size_t)task->first_image + (size_t)image_tile * pass->tile_images;
    size_t at = (image * positions + (size_t)position) * pass->out + (size_t)task->column;
    amx_output o = {.sums = sums, .stride = positions * pass->out};
    o.rows = int_min(task->images - image_tile * pass->tile_images, pass->tile_images);
    o.columns = int_min(pass->out - task->column, AMX_BLOCK);
    o.pooled = writes_windows(pass);
    o.window_stride = (size_t)pass->tile_images * AMX_BLOCK;
    if (o.pooled && a->pool_argmax) o.pool_argmax = a->pool_argmax + at;
    if (pass->forward ? p->bf16_y : p->bf16_x)
        o.bf16 = (pass->forward ? a->y16 : a->dx16) + at;
    else
        o.fp32 = (pass->forward ? a->y : a->dx) + at;
    if (pass->forward) {
        o.bias = a->b + task->column;
        o.relu = p->relu;
    } else if (p->input_is_relu) {
        o.positive = source_from(p->bf16_x ? (amx_source){.bf16 = a->x16} : (amx_source){.fp32 = a->x}, at);
    }
    return o;
}

static void finish_position(const forward_pass *pass, const panel_task *task, int image_tile, int position, const float *sums)
{
    const amx_output output = describe_output(pass, task, image_tile, position, sums);
    pass->kernels->finish(&output);
}

/* The block of sums of two pixels, `pixel` and its right neighbour, of an image tile. */
static void multiply_pixel_pair(const forward_pass *pass, const panel_task *task, int image_tile, int pixel, float *sums)
{
    const int side = pass->problem->side, h = pixel / side, w = pixel % side, sign = pass->forward ? 1 : -1;
    const bf16 *images = pass->images + (size_t)image_tile * pass->image_size;
    amx_pair_product product = {
        .steps = pass->steps, .sums = sums, .prefetch = task->prefetch, .has_left = w > 0, .has_right = w + 2 < side};
    product.a_pixel = (ptrdiff_t)pass->steps * AMX_TILE_ELEMENTS;
    product.b_tap = sign * (ptrdiff_t)pass->steps * AMX_PANEL_STEP;
    product.two_columns = pass->out - task->column > AMX_ROWS;
    for (int r = 0; r < 3; r++) {
        int from = h + sign * (r - 1), tap = 3 * r + (pass->forward ? 0 : 2);
        if (from < 0 || from >= side) continue;
        product.line[product.lines].a = images + (from * side + w) * product.a_pixel;
        product.line[product.lines++].b = task->panel + (size_t)tap * pass->steps * AMX_PANEL_STEP;
    }
    pass->kernels->multiply_pair(&product);
}

/* An output tile of two pixels or of a window. */
static void multiply_pair_tile(const forward_pass *pass, const panel_task *task, int image_tile, int map_tile)
{
    _Alignas(VGG_ALIGNMENT_BYTES) float sums[2 * BLOCK_SUMS];
    if (writes_windows(pass)) {
        int first = window_pixel(pass->problem->side, map_tile);
        multiply_pixel_pair(pass, task, image_tile, first, sums);
        multiply_pixel_pair(pass, task, image_tile, first + pass->problem->side, sums + BLOCK_SUMS);
        finish_position(pass, task, image_tile, map_tile, sums);
    } else {
        multiply_pixel_pair(pass, task, image_tile, 2 * map_tile, sums);
        finish_position(pass, task, image_tile, 2 * map_tile, sums);
        finish_position(pass, task, image_tile, 2 * map_tile + 1, sums + BLOCK_SUMS / 2);
    }
}

/* An output tile of one pixel. */
static void multiply_pixel_tile(const forward_pass *pass, const panel_task *task, int image_tile, int pixel)
{
    _Alignas(VGG_ALIGNMENT_BYTES) float sums[BLOCK_SUMS];
    amx_product product = {
        .steps = pass->steps, .a_second = (ptrdiff_t)pass->image_size, .sums_stride = AMX_BLOCK, .prefetch = task->prefetch};
    product.two_rows = task->images - image_tile * AMX_BLOCK > AMX_ROWS;
    product.two_columns = pass->out - task->column > AMX_ROWS;
    product.sums = sums;
    list_taps(pass, &product, pass->images + 2 * (size_t)image_tile * pass->image_size, task->panel, pixel);
    pass->kernels->multiply(&product);
    finish_position(pass, task, image_tile, pixel, sums);
}

/* Output tiles along a map, and image tiles. */
static int map_tiles_of(const forward_pass *pass) { return pass->pixels / (writes_windows(pass) ? 4 : pass->pixel_pairs ? 2 : 1); }

static int image_tiles_of(const forward_pass *pass, int images) { return int_divide_up(images, pass->tile_images); }

/* The output tiles of `range`: all map tiles of an image tile, then those of the next. */
static void multiply_tiles(const forward_pass *pass, const panel_task *task, vgg_range range)
{
    size_t map_tiles = (size_t)map_tiles_of(pass);
    for (size_t i = range.first; i < range.first + range.count; i++) {
        if (pass->pixel_pairs)
            multiply_pair_tile(pass, task, (int)(i / map_tiles), (int)(i % map_tiles));
        else
            multiply_pixel_tile(pass, task, (int)(i / map_tiles), (int)(i % map_tiles));
        progress_poll();
    }
}

/* Tasks into which a panel's output tiles are cut: several where the panels are too few for the threads. */
static int tasks_a_panel(const forward_pass *pass) { return panels_suffice(pass) ? 1 : TASKS_A_THREAD * pass->problem->threads; }

/* One depth block of a dense layer's panel, with all images of the block. */
static void multiply_depth_block(const forward_pass *pass, const panel_task *task, float *partials, int step)
{
    int steps = int_min(pass->block_steps, pass->steps - step);
    for (int image_tile = 0; image_tile * AMX_BLOCK < task->images; image_tile++, partials += BLOCK_SUMS) {
        amx_product product = {.steps = steps, .batches = 1, .a_second = (ptrdiff_t)pass->image_size, .prefetch = task->prefetch};
        product.batch[0].a = pass->images + 2 * (size_t)image_tile * pass->image_size + (size_t)step * AMX_TILE_ELEMENTS;
        product.batch[0].b = task->panel;
        product.batch[0].lines = 1;
        product.two_rows = task->images - image_tile * AMX_BLOCK > AMX_ROWS;
        product.two_columns = pass->out - task->column > AMX_ROWS;
        product.sums = partials;
        product.sums_stride = AMX_BLOCK;
        product.accumulate = step > 0;
        pass->kernels->multiply(&product);
        if (step + steps == pass->steps) finish_position(pass, task, image_tile, 0, partials);
    }
    progress_poll();
}

/* Packs a panel, depth block by depth block, and multiplies it. Meanwhile it prefetches the weights of the next depth block, which
 * is that of this panel or the first of the panel that this thread most likely takes next. */
static void pack_and_multiply_panel(const forward_pass *pass, panel_task *task, int panel, int next_panel, bf16 *own_panel,
                                    float *partials)
{
    int image_tiles = image_tiles_of(pass, task->images);
    task->panel = own_panel;
    for (int step = 0; step < pass->steps; step += pass->block_steps) {
        bool last = step + pass->block_steps >= pass->steps;
        int steps = image_tiles * (pass->block_steps < pass->steps ? pass->block_steps : map_tiles_of(pass) * pass->steps);
        amx_prefetch next = prefetch_depth_block(pass, last ? next_panel : panel, last ? 0 : step + pass->block_steps, steps);
        task->prefetch = &next;
        pack_depth_block(pass, own_panel, panel, step);
        if (pass->block_steps < pass->steps)
            multiply_depth_block(pass, task, partials, step);
        else
            multiply_tiles(pass, task, (vgg_range){0, (size_t)image_tiles * map_tiles_of(pass)});
    }
}

static panel_task task_of(const forward_pass *pass, int first_image, int images, int panel, amx_prefetch *prefetch)
{
    return (panel_task){.first_image = first_image,
                        .images = images,
                        .column = panel * AMX_BLOCK,
                        .prefetch = prefetch,
                        .panel = pass->weights + (pass->packed_weights_kept ? panel * pass->panel_size : 0)};
}

/* Multiplies panels that are packed already. If all of them stay in the cache, a task is one map tile of one image tile with all
 * panels; else it is a panel with all of these, or with a part of them. */
static void multiply_packed_panels(const forward_pass *pass, int first_image, int images)
{
    size_t all = (size_t)image_tiles_of(pass, images) * map_tiles_of(pass);
    bool panels_inside = weights_bytes(pass) <= PACKED_WEIGHTS_BYTES;
    size_t parts = panels_inside ? all : (size_t)tasks_a_panel(pass);
    amx_prefetch nothing = {0};
#pragma omp for schedule(dynamic)
    for (size_t index = 0; index < (panels_inside ? all : parts * pass->panels); index++) {
        int first = panels_inside ? 0 : (int)(index / parts), end = panels_inside ? pass->panels : first + 1;
        for (int panel = first; panel < end; panel++) {
            const panel_task task = task_of(pass, first_image, images, panel, &nothing);
            multiply_tiles(pass, &task, range_part(all, parts, index % parts));
        }
    }
}

/* Each thread packs the panels that it multiplies. */
static void pack_and_multiply_panels(const forward_pass *pass, int first_image, int images, bf16 *own_panel, float *partials)
{
#pragma omp for schedule(dynamic)
    for (int panel = 0; panel < pass->panels; panel++) {
        panel_task task = task_of(pass, first_image, images, panel, NULL);
        pack_and_multiply_panel(pass, &task, panel, panel + pass->problem->threads, own_panel, partials);
    }
}

static void run(const conv_plan *plan, const conv_arguments *arguments)
{
    forward_pass pass = forward_pass_of(&plan->problem, plan->pass == CONV_FORWARD);
    pass.kernels = direct_bf16_amx_kernels(plan);
    pass.arguments = arguments;
    pass.images = arguments->workspace;
    pass.weights = (bf16 *)((char *)arguments->workspace + images_bytes(&pass));
    pass.partials = (float *)((char *)pass.weights + weights_bytes(&pass));
#pragma omp parallel num_threads(plan->problem.threads)
    {
        size_t thread = (size_t)omp_get_thread_num();
        pass.kernels->begin();
        if (pass.packed_weights_kept) {
#pragma omp for schedule(static) nowait
            for (int panel = 0; panel < pass.panels; panel++)
                pack_depth_block(&pass, pass.weights + panel * pass.panel_size, panel, 0);
        }
        for (int first = 0; first < arguments->n; first += pass.block_images) {
            int images = int_min(arguments->n - first, pass.block_images);
            pack_images(&pass, first, images);
            if (pass.packed_weights_kept)
                multiply_packed_panels(&pass, first, images);
            else
                pack_and_multiply_panels(&pass, first, images, pass.weights + thread * pass.panel_size,
                                         pass.partials + thread * partial_size(&pass));
        }
        pass.kernels->end();
    }
}

/* Pairs of a pixel of the result and a tap whose input lies inside the map. */
static double valid_taps(const conv_problem *p)
{
    double along = p->kernel == 1 ? p->side : 3.0 * p->side - 2.0;
    return along * along;
}

double direct_bf16_amx_products(const conv_problem *p, conv_pass pass, int images)
{
    int in = pass == CONV_INPUT_GRAD ? p->out : p->in, out = pass == CONV_INPUT_GRAD ? p->in : p->out;
    if (pass == CONV_WEIGHT_GRAD)
        return valid_taps(p) * int_divide_up(images, AMX_DEPTH) * int_divide_up(p->in, AMX_ROWS) * int_divide_up(p->out, AMX_ROWS);
    return valid_taps(p) * int_divide_up(images, AMX_ROWS) * int_divide_up(in, AMX_DEPTH) * int_divide_up(out, AMX_ROWS);
}

vgg_status direct_bf16_amx_plan(conv_plan *plan, const amx_kernels *kernels)
{
    if (plan->problem.in == 1) return vgg_fail(VGG_DECLINED, "one input channel leaves tiles empty");
    plan->flags |= CONV_NATIVE_BF16 | CONV_FUSES_RELU_GRAD | CONV_FUSES_POOL;
    plan->state = (void *)(uintptr_t)kernels;
    if (plan->pass == CONV_WEIGHT_GRAD) {
        direct_bf16_amx_plan_weight_grad(plan);
        return VGG_OK;
    }
    const forward_pass pass = forward_pass_of(&plan->problem, plan->pass == CONV_FORWARD);
    plan->workspace_bytes = images_bytes(&pass) + weights_bytes(&pass) +
                            plan->problem.threads * partial_size(&pass) * sizeof(float);
    plan->run = run;
    return VGG_OK;
}

#ifdef __x86_64__
static vgg_status make_plan(conv_plan *plan)
{
    if (!cpu_detect()->amx_bf16) return vgg_fail(VGG_DECLINED, "needs AMX_BF16; this CPU has not, or the system does not grant it");
    return direct_bf16_amx_plan(plan, &amx_kernels_native);
}

/* On a Xeon with AMX this row was the fastest in every pass from conv2 to fc3, with 128 images. */
static bool is_expected(const conv_problem *problem, conv_pass pass)
{
    (void)pass;
    return cpu_detect()->amx_bf16 && problem->in > 1;
}

const conv_algorithm conv_direct_bf16_amx = {
    .name = "direct-bf16-amx",
    .good_when = "the CPU has matrix tiles (AMX)",
    .precision = PRECISION_BF16,
    .tolerance = {1e-2f, 1e-2f, 1e-2f},
    .expected = is_expected,
    .plan = make_plan,
    .tile_products = direct_bf16_amx_products,
};
#endif

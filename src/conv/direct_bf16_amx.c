/* direct-bf16-amx: products of matrix tiles, for convolutions and dense layers.
 *
 * A tile's rows are images: one pixel of 16 of them, whose map is packed [16 images][pixel][32 channels] first. So all rows of a
 * tile have the same valid taps, no product with padding is ever made, and maps of any side fill the tiles. Forward and input
 * gradient are one routine. A block of images is packed that stays in the level-2 cache, and multiplied by panels of weights for 32
 * outputs, which are rounded and paired from the fp32 ones: by the thread that is about to use a panel, if it is used but once, else
 * all of them beforehand. A copy kept between steps would cost more traffic than it saves.
 */
#include "conv/direct_bf16_amx.h"

#include <omp.h>

#include "vgg11/conv/progress_poll.h"
#include "vgg11/base/cpu.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

enum {
    LINE_FLOATS = VGG_ALIGNMENT_BYTES / sizeof(float),
    CACHE_BYTES = 1 << 20,
    KEPT_BYTES = 3 << 19,
    PARTS_A_THREAD = 4,
    SLAB_STEPS = 8,
    BLOCK_SUMS = AMX_BLOCK * AMX_BLOCK
};

/* Everything that follows from the problem and the pass; then what a call adds. */
typedef struct {
    const conv_problem *problem;
    bool forward;
    int in;  /* channels of the map that is read */
    int out; /* and of the one that is written */
    int pixels;
    int taps;
    int steps; /* of depth, a pixel */
    int panels;
    int block_images; /* packed at a time, a multiple of AMX_ROWS */
    int blocks;
    bool pixel_pairs;  /* a block's rows are two pixels of 16 images, not one of 32 */
    int unit_images;   /* of a block of sums: 16 or 32 */
    bool kept;         /* all panels are packed beforehand */
    int slab_steps;    /* of a panel packed at a time, if they are not kept; only a dense layer's has several slabs */
    size_t panel_size; /* elements, of all or those */
    size_t image_size; /* of a tile's images, packed */
    const amx_kernels *kernels;
    const conv_arguments *arguments;
    bf16 *images;
    bf16 *weights;
    float *partials; /* a thread's sums of a panel with all images of a block, if there are several slabs */
} gather_work;

/* A thread's share of a panel's products with one block of images. */
typedef struct {
    int first_image; /* of the block */
    int images;      /* of the block */
    int column;      /* first of the panel */
    const bf16 *panel;
    amx_fetch *fetch;
} gather_item;

static int divide_up(int a, int b) { return (a + b - 1) / b; }

static int smaller(int a, int b) { return a < b ? a : b; }

static int larger(int a, int b) { return a > b ? a : b; }

static bool reads_windows(const gather_work *work) { return work->problem->pool && !work->forward; }

static bool writes_windows(const gather_work *work) { return work->problem->pool && work->forward; }

/* Blocks of equal size, but for the last. */
static void cut_images(gather_work *work)
{
    const conv_problem *p = work->problem;
    int units = divide_up(p->batch, work->unit_images);
    size_t unit_bytes = (size_t)(work->unit_images / AMX_ROWS) * work->image_size * sizeof(bf16);
    int fitting = larger(1, (int)((size_t)CACHE_BYTES * p->threads / unit_bytes));
    work->blocks = divide_up(units, fitting);
    work->block_images = smaller(divide_up(units, work->blocks) * work->unit_images, divide_up(p->batch, AMX_ROWS) * AMX_ROWS);
}

/* The panels alone are enough for the threads to finish together, or nearly. */
static bool panels_suffice(const gather_work *work)
{
    int threads = work->problem->threads;
    return work->panels % threads == 0 || work->panels >= PARTS_A_THREAD * threads;
}

static gather_work describe_work(const conv_problem *p, conv_pass pass)
{
    gather_work work = {.problem = p, .forward = pass == CONV_FORWARD, .pixels = p->side * p->side, .taps = p->kernel * p->kernel};
    work.in = work.forward ? p->in : p->out;
    work.out = work.forward ? p->out : p->in;
    work.steps = divide_up(work.in, AMX_DEPTH);
    work.panels = divide_up(work.out, AMX_BLOCK);
    work.image_size = (size_t)work.pixels * work.steps * AMX_TILE_ELEMENTS;
    work.pixel_pairs = p->kernel == 3 && p->side % 2 == 0;
    work.unit_images = work.pixel_pairs ? AMX_ROWS : AMX_BLOCK;
    cut_images(&work);
    work.kept = work.blocks > 1 || !panels_suffice(&work);
    work.slab_steps = work.kept || p->kernel > 1 || p->side > 1 ? work.steps : smaller(work.steps, SLAB_STEPS);
    work.panel_size = (size_t)work.taps * work.slab_steps * AMX_PANEL_STEP;
    return work;
}

static size_t images_bytes(const gather_work *work)
{
    return (size_t)(work->block_images / AMX_ROWS) * work->image_size * sizeof(bf16);
}

static size_t weights_bytes(const gather_work *work)
{
    return (size_t)(work->kept ? work->panels : work->problem->threads) * work->panel_size * sizeof(bf16);
}

/* Floats of one thread. */
static size_t partial_size(const gather_work *work)
{
    return work->slab_steps < work->steps ? (size_t)divide_up(work->block_images, AMX_BLOCK) * BLOCK_SUMS : 0;
}

static amx_source source_of(const gather_work *work)
{
    const conv_arguments *a = work->arguments;
    if (work->forward) return work->problem->bf16_x ? (amx_source){.narrow = a->x16} : (amx_source){.wide = a->x};
    return work->problem->bf16_y ? (amx_source){.narrow = a->dy16} : (amx_source){.wide = a->dy};
}

static amx_source source_from(amx_source source, size_t offset)
{
    if (source.narrow) source.narrow += offset;
    if (source.wide) source.wide += offset;
    return source;
}

/* The upper left pixel of window `index` of a map of so many pixels a side. */
static int window_pixel(int side, int index) { return index / (side / 2) * 2 * side + index % (side / 2) * 2; }

/* Tile `tile` of the block's images, of one pixel or, where the map is pooled, one window. */
static void pack_unit(const gather_work *work, int first_image, int images, int tile, int unit)
{
    bool windows = reads_windows(work);
    size_t units = (size_t)work->pixels / (windows ? 4 : 1), image = (size_t)first_image + (size_t)tile * AMX_ROWS;
    int target = windows ? window_pixel(work->problem->side, unit) : unit;
    bf16 *to = work->images + (size_t)tile * work->image_size + (size_t)target * work->steps * AMX_TILE_ELEMENTS;
    size_t from = (image * units + (size_t)unit) * work->in;
    amx_pixel pixel = {.stride = units * work->in, .images = images - tile * AMX_ROWS};
    pixel.right = (size_t)work->steps * AMX_TILE_ELEMENTS;
    pixel.down = pixel.right * work->problem->side;
    for (int step = 0; step < work->steps; step++) {
        size_t at = from + (size_t)step * AMX_DEPTH;
        pixel.map = source_from(source_of(work), at);
        pixel.pool_argmax = windows ? work->arguments->pool_argmax + at : NULL;
        pixel.count = smaller(work->in - step * AMX_DEPTH, AMX_DEPTH);
        work->kernels->pack_images(to + (size_t)step * AMX_TILE_ELEMENTS, &pixel);
    }
}

static void pack_images(const gather_work *work, int first_image, int images)
{
    int tiles = divide_up(images, AMX_ROWS), units = work->pixels / (reads_windows(work) ? 4 : 1);
#pragma omp for collapse(2) schedule(static)
    for (int tile = 0; tile < tiles; tile++) {
        for (int unit = 0; unit < units; unit++) pack_unit(work, first_image, images, tile, unit);
    }
}

/* Steps first_step and on, of all taps. */
static void pack_slab(const gather_work *work, bf16 *to, int panel, int first_step)
{
    const conv_problem *p = work->problem;
    int column = panel * AMX_BLOCK, columns = smaller(work->out - column, AMX_BLOCK), channel = first_step * AMX_DEPTH;
    int channels = smaller(work->in - channel, work->slab_steps * AMX_DEPTH);
    for (int tap = 0; tap < work->taps; tap++, to += (size_t)work->slab_steps * AMX_PANEL_STEP) {
        const float *w = work->arguments->w + (size_t)tap * p->in * p->out;
        if (work->forward)
            work->kernels->pack_rows(to, w + (size_t)channel * p->out + column, (size_t)p->out, channels, columns);
        else
            work->kernels->pack_columns(to, w + (size_t)column * p->out + channel, (size_t)p->out, channels, columns);
    }
}

/* The floats that pack_slab() will read, in whole cache lines, to be fetched during `steps` steps. */
static amx_fetch fetch_slab(const gather_work *work, int panel, int first_step, int steps)
{
    const conv_problem *p = work->problem;
    int column = panel * AMX_BLOCK, columns = smaller(work->out - column, AMX_BLOCK), channel = first_step * AMX_DEPTH;
    int channels = smaller(work->in - channel, work->slab_steps * AMX_DEPTH);
    amx_fetch fetch = {.stride = (size_t)p->out};
    if (panel >= work->panels) return fetch;
    if (work->forward) {
        fetch.first = work->arguments->w + (size_t)channel * p->out + column;
        fetch.rows = work->taps * channels;
        fetch.width = divide_up(columns, LINE_FLOATS);
    } else if (work->taps == 1) {
        fetch.first = work->arguments->w + (size_t)column * p->out + channel;
        fetch.rows = columns;
        fetch.width = divide_up(channels, LINE_FLOATS);
    } else {
        fetch.first = work->arguments->w + (size_t)column * p->out;
        fetch.stride *= (size_t)p->in;
        fetch.rows = work->taps;
        fetch.width = divide_up(columns * p->out, LINE_FLOATS);
    }
    fetch.lines_a_step = divide_up(fetch.rows * fetch.width, steps);
    return fetch;
}

/* The taps that are inside the map for this pixel of the result, a run for each line of the kernel. */
static void list_taps(const gather_work *work, amx_product *product, const bf16 *images, const bf16 *panel, int pixel)
{
    const int side = work->problem->side, kernel = work->problem->kernel, sign = work->forward ? 1 : -1;
    const int h = pixel / side, w = pixel % side;
    const ptrdiff_t pixel_size = (ptrdiff_t)work->steps * AMX_TILE_ELEMENTS, tap_size = (ptrdiff_t)work->steps * AMX_PANEL_STEP;
    product->runs = 0;
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
        product->run[product->runs++] = (amx_run){.a = images + from * pixel_size,
                                                  .b = panel + (r * kernel + first) * tap_size,
                                                  .lines = count,
                                                  .a_line = sign * pixel_size,
                                                  .b_line = tap_size};
    }
}

/* Where the results of a pixel or window go, and what becomes of them. */
static amx_output describe_output(const gather_work *work, const gather_item *item, int group, int unit, const float *sums)
{
    const conv_problem *p = work->problem;
    const conv_arguments *a = work->arguments;
    size_t units = (size_t)work->pixels / (writes_windows(work) ? 4 : 1),
           image = (size_t)item->first_image + (size_t)group * work->unit_images;
    size_t at = (image * units + (size_t)unit) * work->out + (size_t)item->column;
    amx_output o = {
        .sums = sums, .rows = smaller(item->images - group * work->unit_images, work->unit_images), .stride = units * work->out};
    o.columns = smaller(work->out - item->column, AMX_BLOCK);
    o.pooled = writes_windows(work);
    o.place_sums = (size_t)work->unit_images * AMX_BLOCK;
    if (o.pooled && a->pool_argmax) o.pool_argmax = a->pool_argmax + at;
    if (work->forward ? p->bf16_y : p->bf16_x)
        o.narrow = (work->forward ? a->y16 : a->dx16) + at;
    else
        o.wide = (work->forward ? a->y : a->dx) + at;
    if (work->forward) {
        o.bias = a->b + item->column;
        o.relu = p->relu;
    } else if (p->input_is_relu) {
        o.positive = source_from(p->bf16_x ? (amx_source){.narrow = a->x16} : (amx_source){.wide = a->x}, at);
    }
    return o;
}

static void finish_unit(const gather_work *work, const gather_item *item, int group, int unit, const float *sums)
{
    const amx_output output = describe_output(work, item, group, unit, sums);
    work->kernels->finish(&output);
}

/* The block of two pixels, `pixel` and the next, of a tile of images. */
static void multiply_pixels(const gather_work *work, const gather_item *item, int tile, int pixel, float *sums)
{
    const int side = work->problem->side, h = pixel / side, w = pixel % side, sign = work->forward ? 1 : -1;
    const bf16 *images = work->images + (size_t)tile * work->image_size;
    amx_pair_product product = {
        .steps = work->steps, .sums = sums, .fetch = item->fetch, .has_left = w > 0, .has_right = w + 2 < side};
    product.a_pixel = (ptrdiff_t)work->steps * AMX_TILE_ELEMENTS;
    product.b_tap = sign * (ptrdiff_t)work->steps * AMX_PANEL_STEP;
    product.two_columns = work->out - item->column > AMX_ROWS;
    for (int r = 0; r < 3; r++) {
        int from = h + sign * (r - 1), tap = 3 * r + (work->forward ? 0 : 2);
        if (from < 0 || from >= side) continue;
        product.line[product.lines].a = images + (from * side + w) * product.a_pixel;
        product.line[product.lines++].b = item->panel + (size_t)tap * work->steps * AMX_PANEL_STEP;
    }
    work->kernels->multiply_pair(&product);
}

/* Two pixels, or a window, of a tile of images. */
static void multiply_pixel_unit(const gather_work *work, const gather_item *item, int tile, int unit)
{
    _Alignas(VGG_ALIGNMENT_BYTES) float sums[2 * BLOCK_SUMS];
    if (writes_windows(work)) {
        int first = window_pixel(work->problem->side, unit);
        multiply_pixels(work, item, tile, first, sums);
        multiply_pixels(work, item, tile, first + work->problem->side, sums + BLOCK_SUMS);
        finish_unit(work, item, tile, unit, sums);
    } else {
        multiply_pixels(work, item, tile, 2 * unit, sums);
        finish_unit(work, item, tile, 2 * unit, sums);
        finish_unit(work, item, tile, 2 * unit + 1, sums + BLOCK_SUMS / 2);
    }
}

/* A pixel of two tiles of images. */
static void multiply_image_unit(const gather_work *work, const gather_item *item, int pair, int pixel)
{
    _Alignas(VGG_ALIGNMENT_BYTES) float sums[BLOCK_SUMS];
    amx_product product = {
        .steps = work->steps, .a_second = (ptrdiff_t)work->image_size, .sums_stride = AMX_BLOCK, .fetch = item->fetch};
    product.two_rows = item->images - pair * AMX_BLOCK > AMX_ROWS;
    product.two_columns = work->out - item->column > AMX_ROWS;
    product.sums = sums;
    list_taps(work, &product, work->images + 2 * (size_t)pair * work->image_size, item->panel, pixel);
    work->kernels->multiply(&product);
    finish_unit(work, item, pair, pixel, sums);
}

static int units_of(const gather_work *work) { return work->pixels / (writes_windows(work) ? 4 : work->pixel_pairs ? 2 : 1); }

static int groups_of(const gather_work *work, int images) { return divide_up(images, work->unit_images); }

/* Units of groups of images, the latter outside. */
static void multiply_units(const gather_work *work, const gather_item *item, vgg_range range)
{
    size_t units = (size_t)units_of(work);
    for (size_t i = range.first; i < range.first + range.count; i++) {
        if (work->pixel_pairs)
            multiply_pixel_unit(work, item, (int)(i / units), (int)(i % units));
        else
            multiply_image_unit(work, item, (int)(i / units), (int)(i % units));
        progress_poll();
    }
}

/* Where the panels are too few for the threads, each is shared out in so many parts. */
static int parts_of(const gather_work *work) { return panels_suffice(work) ? 1 : PARTS_A_THREAD * work->problem->threads; }

/* One slab of a dense layer's panel with all images of the block. */
static void multiply_slab(const gather_work *work, const gather_item *item, float *partials, int step)
{
    int steps = smaller(work->slab_steps, work->steps - step);
    for (int pair = 0; pair * AMX_BLOCK < item->images; pair++, partials += BLOCK_SUMS) {
        amx_product product = {.steps = steps, .runs = 1, .a_second = (ptrdiff_t)work->image_size, .fetch = item->fetch};
        product.run[0].a = work->images + 2 * (size_t)pair * work->image_size + (size_t)step * AMX_TILE_ELEMENTS;
        product.run[0].b = item->panel;
        product.run[0].lines = 1;
        product.two_rows = item->images - pair * AMX_BLOCK > AMX_ROWS;
        product.two_columns = work->out - item->column > AMX_ROWS;
        product.sums = partials;
        product.sums_stride = AMX_BLOCK;
        product.accumulate = step > 0;
        work->kernels->multiply(&product);
        if (step + steps == work->steps) finish_unit(work, item, pair, 0, partials);
    }
    progress_poll();
}

/* Packs a panel, slab by slab, and multiplies it; meanwhile fetches the slab after, which is the next of this panel or the first of
 * the panel that this thread most likely takes next. */
static void multiply_own_panel(const gather_work *work, gather_item *item, int panel, int next_panel, bf16 *own_panel,
                               float *partials)
{
    int groups = groups_of(work, item->images);
    item->panel = own_panel;
    for (int step = 0; step < work->steps; step += work->slab_steps) {
        bool last = step + work->slab_steps >= work->steps;
        int steps = groups * (work->slab_steps < work->steps ? work->slab_steps : units_of(work) * work->steps);
        amx_fetch fetch = fetch_slab(work, last ? next_panel : panel, last ? 0 : step + work->slab_steps, steps);
        item->fetch = &fetch;
        pack_slab(work, own_panel, panel, step);
        if (work->slab_steps < work->steps)
            multiply_slab(work, item, partials, step);
        else
            multiply_units(work, item, (vgg_range){0, (size_t)groups * units_of(work)});
    }
}

static gather_item item_of(const gather_work *work, int first_image, int images, int panel, amx_fetch *fetch)
{
    return (gather_item){.first_image = first_image,
                         .images = images,
                         .column = panel * AMX_BLOCK,
                         .fetch = fetch,
                         .panel = work->weights + (work->kept ? panel * work->panel_size : 0)};
}

/* All panels pass a pixel, as long as they stay in the cache beside its neighbours; else all pixels pass a panel. */
static void multiply_kept_panels(const gather_work *work, int first_image, int images)
{
    size_t all = (size_t)groups_of(work, images) * units_of(work);
    bool panels_inside = weights_bytes(work) <= KEPT_BYTES;
    size_t parts = panels_inside ? all : (size_t)parts_of(work);
    amx_fetch nothing = {0};
#pragma omp for schedule(dynamic)
    for (size_t index = 0; index < (panels_inside ? all : parts * work->panels); index++) {
        int first = panels_inside ? 0 : (int)(index / parts), end = panels_inside ? work->panels : first + 1;
        for (int panel = first; panel < end; panel++) {
            const gather_item item = item_of(work, first_image, images, panel, &nothing);
            multiply_units(work, &item, range_part(all, parts, index % parts));
        }
    }
}

static void multiply_own_panels(const gather_work *work, int first_image, int images, bf16 *own_panel, float *partials)
{
#pragma omp for schedule(dynamic)
    for (int panel = 0; panel < work->panels; panel++) {
        gather_item item = item_of(work, first_image, images, panel, NULL);
        multiply_own_panel(work, &item, panel, panel + work->problem->threads, own_panel, partials);
    }
}

static void run(const conv_plan *plan, const conv_arguments *arguments)
{
    gather_work work = describe_work(&plan->problem, plan->pass);
    work.kernels = bf16_amx_kernels(plan);
    work.arguments = arguments;
    work.images = arguments->workspace;
    work.weights = (bf16 *)((char *)arguments->workspace + images_bytes(&work));
    work.partials = (float *)((char *)work.weights + weights_bytes(&work));
#pragma omp parallel num_threads(plan->problem.threads)
    {
        size_t thread = (size_t)omp_get_thread_num();
        work.kernels->begin();
        if (work.kept) {
#pragma omp for schedule(static) nowait
            for (int panel = 0; panel < work.panels; panel++) pack_slab(&work, work.weights + panel * work.panel_size, panel, 0);
        }
        for (int first = 0; first < arguments->n; first += work.block_images) {
            int images = smaller(arguments->n - first, work.block_images);
            pack_images(&work, first, images);
            if (work.kept)
                multiply_kept_panels(&work, first, images);
            else
                multiply_own_panels(&work, first, images, work.weights + thread * work.panel_size,
                                    work.partials + thread * partial_size(&work));
        }
        work.kernels->end();
    }
}

/* Pairs of a pixel of the result and a tap that meet inside the map. */
static double valid_taps(const conv_problem *p)
{
    double along = p->kernel == 1 ? p->side : 3.0 * p->side - 2.0;
    return along * along;
}

double bf16_amx_products(const conv_problem *p, conv_pass pass, int images)
{
    int in = pass == CONV_INPUT_GRAD ? p->out : p->in, out = pass == CONV_INPUT_GRAD ? p->in : p->out;
    if (pass == CONV_WEIGHT_GRAD)
        return valid_taps(p) * divide_up(images, AMX_DEPTH) * divide_up(p->in, AMX_ROWS) * divide_up(p->out, AMX_ROWS);
    return valid_taps(p) * divide_up(images, AMX_ROWS) * divide_up(in, AMX_DEPTH) * divide_up(out, AMX_ROWS);
}

vgg_status bf16_amx_plan(conv_plan *plan, const amx_kernels *kernels)
{
    if (plan->problem.in == 1) return vgg_fail(VGG_DECLINED, "one input channel leaves tiles empty");
    plan->flags |= CONV_NATIVE_BF16 | CONV_FUSES_RELU_GRAD | CONV_FUSES_POOL;
    plan->state = (void *)(uintptr_t)kernels;
    if (plan->pass == CONV_WEIGHT_GRAD) {
        bf16_amx_plan_weights(plan);
        return VGG_OK;
    }
    const gather_work work = describe_work(&plan->problem, plan->pass);
    plan->workspace_bytes = images_bytes(&work) + weights_bytes(&work) +
                            plan->problem.threads * partial_size(&work) * sizeof(float);
    plan->run = run;
    return VGG_OK;
}

#ifdef __x86_64__
static vgg_status make_plan(conv_plan *plan)
{
    if (!cpu_detect()->amx_bf16) return vgg_fail(VGG_DECLINED, "needs AMX_BF16; this CPU has not, or the system does not grant it");
    return bf16_amx_plan(plan, &amx_kernels_native);
}

/* On a Xeon with AMX it was the fastest in every pass from conv2 to fc3, of 128 images. */
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
    .tile_products = bf16_amx_products,
};
#endif

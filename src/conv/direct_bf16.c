/* direct-bf16: rounds activations and weights to bf16 and multiplies pairs with VDPBF16PS, 14 x 32 sums at a time.
 *
 * Forward and input gradient are one routine: a convolution reads its input in place, through pointers to the rows of a
 * tile. Pixels with the same valid taps (corners, edges, inside) are taken together, so that no product with padding is
 * ever made: on a 2x2 map 16 of 36 taps are real. The weights of 32 outputs are packed by the thread that is about to use
 * them, into its level-2 cache; a copy kept between steps would cost more traffic than it saves.
 * VDPBF16PS takes denormals for zero and adds a pair's products before the sum, hence the tolerance, not bit equality.
 */
#include "vgg11/conv/progress_poll.h"
#include "conv/direct_bf16.h"

#include <omp.h>
#include <string.h>

#include "vgg11/base/cpu.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

enum { MAX_SEGMENTS = 3, BLOCK_STEPS = 128, LINE_ELEMENTS = VGG_ALIGNMENT_BYTES / sizeof(bf16) };

/* Lines (or columns) of the map, begin .. end-1, that have the same valid taps, tap_begin .. tap_end-1, along this axis. */
typedef struct {
    int begin;
    int end;
    int tap_begin;
    int tap_end;
} axis_segment;

typedef struct {
    const conv_plan *plan;
    const conv_arguments *arguments;
    union {
        const float *from; /* x or dy */
        const bf16 *from16;
    };
    union {
        float *to; /* y or dx */
        bf16 *to16;
    };
    bool from_is_bf16;
    bool to_is_bf16;
    int in;   /* channels of from */
    int out;  /* channels of to */
    int sign; /* tap t reads at +sign * (t - 1) */
    int segment_count;
    axis_segment segments[MAX_SEGMENTS];
    int steps;               /* pairs of input channels */
    const bf16 *activations; /* [n][side][side][stride]: from16 itself, or its copy in the workspace */
    size_t stride;
    int block_steps; /* of a panel packed at a time, see block_depth() */
    bf16 *panels;    /* one for each thread: [taps][block_steps][PANEL][2] */
    size_t panel_size;
    float *partials; /* one for each thread: [n][PANEL], if there are several blocks */
    size_t partial_size;
    int panel_count;
    int groups; /* the rows of a panel are shared out in so many */
} gather_work;

/* One thread's piece of work: a group's share of the rows times a block of a panel. */
typedef struct {
    int column; /* first of the panel */
    int group;
    int step; /* first of the block */
    int steps;
    int next_column; /* where to fetch from meanwhile: most likely what this thread packs next */
    size_t next_piece;
    size_t end_piece;
} panel_block;

static int smaller(int a, int b) { return a < b ? a : b; }

static void find_segments(gather_work *work, int kernel, int side)
{
    for (int line = 0; line < side; line++) {
        axis_segment here = {line, line + 1, kernel, 0};
        for (int tap = 0; tap < kernel; tap++) {
            int source = line + work->sign * (tap - kernel / 2);
            if (source < 0 || source >= side) continue;
            if (tap < here.tap_begin) here.tap_begin = tap;
            here.tap_end = tap + 1;
        }
        axis_segment *last = work->segments + (work->segment_count ? work->segment_count - 1 : 0);
        bool same = line > 0 && last->tap_begin == here.tap_begin && last->tap_end == here.tap_end;
        if (same)
            last->end = here.end;
        else
            work->segments[work->segment_count++] = here;
    }
}

/* Enough items for the threads to finish together, without packing a panel more often than that takes. */
static int group_count(int panel_count, int threads)
{
    return panel_count % threads == 0 || panel_count >= 8 * threads ? 1 : threads;
}

/* Elements from pixel to pixel of a copy. A tile's rows of a dense layer would otherwise be a power of two apart, in the same
 * sets of the cache. */
static size_t copy_stride(const conv_problem *p, int channels)
{
    return p->kernel == 1 ? vgg_round_up((size_t)channels, LINE_ELEMENTS) + LINE_ELEMENTS : vgg_round_up((size_t)channels, 2);
}

static size_t activation_bytes(const conv_problem *p, int channels)
{
    size_t padded = copy_stride(p, channels);
    return vgg_round_up((size_t)p->batch * p->side * p->side * padded * sizeof(bf16), VGG_ALIGNMENT_BYTES);
}

/* A dense layer reads its weights from memory at nearly the pace at which few images multiply them, and its panels are
 * slices of long rows, which no hardware prefetcher follows. So forward, it packs BLOCK_STEPS at a time, which stay in the
 * level-1 cache, and fetches as many ahead. All else packs the whole depth of a panel. */
static int block_depth(const conv_problem *p, conv_pass pass)
{
    int steps = ((pass == CONV_FORWARD ? p->in : p->out) + 1) / 2;
    return p->kernel == 1 && pass == CONV_FORWARD && steps > BLOCK_STEPS ? BLOCK_STEPS : steps;
}

static size_t panel_elements(const conv_problem *p, conv_pass pass)
{
    return (size_t)p->kernel * p->kernel * block_depth(p, pass) * PANEL_STEP;
}

static size_t partial_elements(const conv_problem *p, conv_pass pass)
{
    return p->kernel == 1 && pass == CONV_FORWARD ? (size_t)p->batch * PANEL : 0;
}

static gather_work start_work(const conv_plan *plan, const conv_arguments *arguments)
{
    const conv_problem *p = &plan->problem;
    bool forward = plan->pass == CONV_FORWARD;
    gather_work work = {.plan = plan, .arguments = arguments, .sign = forward ? 1 : -1};
    work.from = forward ? arguments->x : arguments->dy;
    work.to = forward ? arguments->y : arguments->dx;
    work.in = forward ? p->in : p->out;
    work.out = forward ? p->out : p->in;
    work.steps = (work.in + 1) / 2;
    work.from_is_bf16 = forward ? p->bf16_x : p->bf16_y;
    work.to_is_bf16 = forward ? p->bf16_y : p->bf16_x;
    bool in_place = work.from_is_bf16 && p->kernel > 1 && work.in % 2 == 0;
    work.activations = in_place ? work.from16 : arguments->workspace;
    work.stride = in_place ? (size_t)work.in : copy_stride(p, work.in);
    work.block_steps = block_depth(p, plan->pass);
    work.panel_size = panel_elements(p, plan->pass);
    work.partial_size = partial_elements(p, plan->pass);
    work.panels = (bf16 *)((char *)arguments->workspace + activation_bytes(p, work.in));
    work.partials = (float *)(work.panels + p->threads * work.panel_size);
    work.panel_count = (work.out + PANEL - 1) / PANEL;
    work.groups = group_count(work.panel_count, p->threads);
    find_segments(&work, p->kernel, p->side);
    return work;
}

static void round_activations(const gather_work *work, int thread, int threads)
{
    const conv_problem *p = &work->plan->problem;
    size_t pixels = (size_t)work->arguments->n * p->side * p->side;
    vgg_range own = range_part(pixels, threads, thread);
    bf16 *copy = work->arguments->workspace;
    if (work->activations != copy) return;
    for (size_t pixel = own.first; pixel < own.first + own.count; pixel++) {
        bf16 *row = copy + pixel * work->stride;
        if (work->from_is_bf16)
            memcpy(row, work->from16 + pixel * work->in, work->in * sizeof *row);
        else
            bf16_pack_flat(row, work->from + pixel * work->in, work->in);
        if (work->in % 2 == 1) row[work->in] = 0;
    }
}

/* The weights of all taps. */
static void pack_block(const gather_work *work, bf16 *panel, const panel_block *block)
{
    const conv_problem *p = &work->plan->problem;
    int columns = smaller(work->out - block->column, PANEL);
    int channel = 2 * block->step, channels = smaller(work->in - channel, 2 * block->steps);
    for (int tap = 0; tap < p->kernel * p->kernel; tap++) {
        const float *w = work->arguments->w + (size_t)tap * p->in * p->out;
        bf16 *out = panel + (size_t)tap * work->block_steps * PANEL_STEP;
        if (work->sign > 0)
            bf16_pack_row_pairs(out, w + (size_t)channel * p->out + block->column, p->out, channels, columns);
        else
            bf16_pack_column_pairs(out, w + (size_t)block->column * p->out + channel, p->out, columns, channels);
    }
}

/* A panel's weights, tap after tap, in pieces that are its rows, or parts of its columns if it is packed transposed. */
static weight_fetch fetch_from(const gather_work *work, int column, size_t piece)
{
    const conv_problem *p = &work->plan->problem;
    const float *w = work->arguments->w + piece / work->in * p->in * p->out;
    if (work->sign > 0) return (weight_fetch){w + column + piece % work->in * p->out, p->out};
    return (weight_fetch){w + (size_t)column * p->out + piece % work->in * PANEL, PANEL};
}

/* Sets the tile to fetch what it has time for. */
static void plan_fetch(const gather_work *work, brgemm_tile *tile, panel_block *block)
{
    bool more = block->next_column < work->out && block->next_piece < block->end_piece;
    tile->fetch = more ? fetch_from(work, block->next_column, block->next_piece) : (weight_fetch){work->arguments->w, 0};
    block->next_piece += (size_t)tile->taps * tile->steps;
}

static void list_taps(const gather_work *work, brgemm_tile *tile, const bf16 *panel, const axis_segment *h, const axis_segment *w)
{
    const conv_problem *p = &work->plan->problem;
    tile->taps = 0;
    for (int r = h->tap_begin; r < h->tap_end; r++) {
        for (int s = w->tap_begin; s < w->tap_end; s++) {
            int pixels = (r - p->kernel / 2) * p->side + s - p->kernel / 2;
            tile->tap_offset[tile->taps] = (ptrdiff_t)work->sign * pixels * (ptrdiff_t)work->stride;
            tile->tap_panel[tile->taps++] = panel + (size_t)(r * p->kernel + s) * work->block_steps * PANEL_STEP;
        }
    }
}

/* The tile's rows are rows first .. first+count-1 of the pixels of h x w, image after image. */
static void list_rows(const gather_work *work, brgemm_tile *tile, const panel_block *block, const axis_segment *h,
                      const axis_segment *w, int first, int count)
{
    int side = work->plan->problem.side;
    int width = w->end - w->begin, area = (h->end - h->begin) * width;
    for (int i = 0; i < count; i++) {
        int image = (first + i) / area, inside = (first + i) % area;
        size_t pixel = ((size_t)image * side + h->begin + inside / width) * side + w->begin + inside % width;
        tile->row[i] = work->activations + pixel * work->stride + 2 * block->step;
        size_t to = pixel * work->out + block->column;
        if (work->to_is_bf16)
            tile->out16[i] = work->to16 + to;
        else
            tile->out[i] = work->to + to;
        if (tile->masked) tile->positive[i] = work->arguments->x16 + to;
    }
}

/* This group's share of the rows of h x w, in tiles of nearly equal height: a flat last tile would waste the most. */
static void multiply_segment(const gather_work *work, brgemm_tile *tile, panel_block *block, float *partial, const axis_segment *h,
                             const axis_segment *w)
{
    size_t rows = (size_t)work->arguments->n * (h->end - h->begin) * (w->end - w->begin);
    vgg_range share = range_part(rows, work->groups, block->group);
    size_t tiles = (share.count + TILE_ROWS - 1) / TILE_ROWS;
    for (size_t i = 0; i < tiles; i++) {
        vgg_range part = range_part(share.count, tiles, i);
        list_rows(work, tile, block, h, w, (int)(share.first + part.first), (int)part.count);
        plan_fetch(work, tile, block);
        tile->partial = partial + part.first * PANEL;
        brgemm_tile_product[part.count](tile);
    }
}

static void multiply_block(const gather_work *work, const bf16 *panel, float *partial, panel_block *block)
{
    brgemm_tile tile = {.steps = block->steps, .first = block->step == 0};
    tile.last = block->step + block->steps == work->steps;
    tile.columns = smaller(work->out - block->column, PANEL);
    tile.to_bf16 = work->to_is_bf16;
    tile.masked = work->sign < 0 && (work->plan->flags & CONV_FUSES_RELU_GRAD) && work->plan->problem.input_is_relu;
    if (work->sign > 0) {
        tile.bias = work->arguments->b + block->column;
        tile.relu = work->plan->problem.relu;
    }
    for (int h = 0; h < work->segment_count; h++) {
        for (int w = 0; w < work->segment_count; w++) {
            list_taps(work, &tile, panel, &work->segments[h], &work->segments[w]);
            multiply_segment(work, &tile, block, partial, &work->segments[h], &work->segments[w]);
        }
    }
}

/* The block, and the fetching of the one after it, which is the next of this panel or the first of the next. */
static panel_block block_at(const gather_work *work, int item, int step, int threads)
{
    int column = item / work->groups * PANEL, next = (item + threads) / work->groups * PANEL;
    panel_block block = {.column = column, .group = item % work->groups, .step = step};
    block.steps = smaller(work->block_steps, work->steps - step);
    int end = step + block.steps, taps = work->plan->problem.kernel * work->plan->problem.kernel;
    bool last = end == work->steps;
    block.next_column = last ? next : column;
    block.next_piece = last ? 0 : 2 * (size_t)end;
    block.end_piece = last && work->block_steps == work->steps ? (size_t)taps * work->in
                                                               : block.next_piece + 2 * (size_t)work->block_steps;
    return block;
}

static void run(const conv_plan *plan, const conv_arguments *arguments)
{
    const gather_work work = start_work(plan, arguments);
#pragma omp parallel num_threads(plan->problem.threads)
    {
        bf16 *panel = work.panels + omp_get_thread_num() * work.panel_size;
        float *partial = work.partials + omp_get_thread_num() * work.partial_size;
        round_activations(&work, omp_get_thread_num(), omp_get_num_threads());
#pragma omp barrier
#pragma omp for schedule(dynamic)
        for (int item = 0; item < work.panel_count * work.groups; item++) {
            for (int step = 0; step < work.steps; step += work.block_steps) {
                panel_block block = block_at(&work, item, step, omp_get_num_threads());
                pack_block(&work, panel, &block);
                multiply_block(&work, panel, partial, &block);
            }
            progress_poll();
        }
    }
}

static vgg_status make_plan(conv_plan *plan)
{
    const conv_problem *p = &plan->problem;
    if (!cpu_detect()->avx512_bf16) return vgg_fail(VGG_DECLINED, "needs AVX512_BF16; this CPU has not");
    plan->flags |= CONV_NATIVE_BF16;
    if (p->bf16_x) plan->flags |= CONV_FUSES_RELU_GRAD;
    if (plan->pass == CONV_WEIGHT_GRAD) return direct_bf16_plan_weight_grad(plan);
    size_t panel = panel_elements(p, plan->pass) * sizeof(bf16), partial = partial_elements(p, plan->pass) * sizeof(float);
    plan->workspace_bytes = activation_bytes(p, plan->pass == CONV_FORWARD ? p->in : p->out) + p->threads * (panel + partial);
    plan->run = run;
    return VGG_OK;
}

const conv_algorithm conv_direct_bf16 = {
    .name = "direct-bf16",
    .former_name = "bf16-avx512",
    .good_when = "the CPU multiplies bf16 pairs (AVX512_BF16): dense layers and small maps",
    .precision = PRECISION_BF16,
    .tolerance = {1e-2f, 1e-2f, 1e-2f},
    .plan = make_plan,
};

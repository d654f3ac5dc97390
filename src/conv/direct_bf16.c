/* direct-bf16: rounds activations and weights to bf16 and multiplies pairs with VDPBF16PS, 14 x 32 sums at a time.
 *
 * Forward and input gradient are one routine, the forward pass, which reads its map in place through pointers to the rows of a gemm
 * tile. Pixels with the same valid taps (corners, edges, inside) share tiles, so that no product with the padding is made: on a 2x2
 * map 16 of the 36 pairs of a pixel and a tap are left. The weights of 32 outputs are packed by the thread that is about to use
 * them, into its level-2 cache; a packed copy kept from one training step to the next would cost more traffic than it saves.
 * The direct row with pairs of the kernel table in place of floats would be shorter. Measured without the rounding of weights that it
 * would need, hence a lower bound (1 thread, batches of 32 and 128, AVX512_BF16), it takes 0.74 to 1.05 of this row's time forward,
 * 0.93 to 1.04 in the input gradient of all layers but fc4, and 0.98 to 1.15 in the weight gradient, in that of fc3 up to 1.36: slower
 * there, and faster forward only by what reading half of the weights saves.
 * VDPBF16PS takes denormals for zero and adds the two products of a pair before it adds them to the sum: hence a tolerance.
 */
#include "vgg11/conv/progress_poll.h"
#include "conv/direct_bf16.h"

#include <omp.h>
#include <string.h>

#include "vgg11/base/cpu.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

enum { MAX_SEGMENTS = 3, BLOCK_STEPS = 128, LINE_ELEMENTS = VGG_ALIGNMENT_BYTES / sizeof(bf16) };

/* Rows (or columns) begin .. end-1 of the map, at which the same taps, tap_begin .. tap_end-1 along this axis, lie inside the
 * map. */
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
    int sign; /* along an axis, tap t reads at an offset of sign * (t - kernel / 2) */
    int segment_count;
    axis_segment segments[MAX_SEGMENTS];
    int steps;               /* pairs of input channels */
    const bf16 *activations; /* [n][side][side][stride]: from16 itself, or a copy of `from` in the workspace */
    size_t stride;
    int block_steps;     /* steps of a depth block, see depth_block_steps() */
    bf16 *panels;        /* one for each thread: [taps][block_steps][PANEL][2] */
    size_t panel_size;   /* elements of one of these */
    float *partials;     /* one for each thread: [n][PANEL], if there are several depth blocks */
    size_t partial_size; /* floats of one of these */
    int panel_count;
    int row_parts; /* the rows of a panel are cut into so many parts, each of which is a task */
} forward_pass;

/* A depth block of a panel, for one part of the rows. */
typedef struct {
    int column; /* the panel's first */
    int row_part;
    int step; /* the depth block's first */
    int steps;
    int next_column; /* first column of the panel that this thread most likely packs next: its weights are prefetched meanwhile */
    size_t next_row; /* row of these weights, see prefetch_from(), to be prefetched next */
    size_t end_row;  /* the last of these rows + 1 */
} depth_block;

static void find_segments(forward_pass *pass, int kernel, int side)
{
    for (int line = 0; line < side; line++) {
        axis_segment here = {line, line + 1, kernel, 0};
        for (int tap = 0; tap < kernel; tap++) {
            int source = line + pass->sign * (tap - kernel / 2);
            if (source < 0 || source >= side) continue;
            if (tap < here.tap_begin) here.tap_begin = tap;
            here.tap_end = tap + 1;
        }
        axis_segment *last = pass->segments + (pass->segment_count ? pass->segment_count - 1 : 0);
        bool same = line > 0 && last->tap_begin == here.tap_begin && last->tap_end == here.tap_end;
        if (same)
            last->end = here.end;
        else
            pass->segments[pass->segment_count++] = here;
    }
}

/* Every part of the rows packs the panel anew, so that there are several only where the panels alone would leave threads idle. */
static int row_part_count(int panel_count, int threads)
{
    return panel_count % threads == 0 || panel_count >= 8 * threads ? 1 : threads;
}

/* Elements from pixel to pixel of a copy. Those of a dense layer would otherwise be a power of two apart, and the rows of a gemm
 * tile in the same sets of the cache. */
static size_t copy_stride(const conv_problem *p, int channels)
{
    return p->kernel == 1 ? vgg_round_up((size_t)channels, LINE_ELEMENTS) + LINE_ELEMENTS : vgg_round_up((size_t)channels, 2);
}

static size_t activation_bytes(const conv_problem *p, int channels)
{
    size_t padded = copy_stride(p, channels);
    return vgg_round_up((size_t)p->batch * p->side * p->side * padded * sizeof(bf16), VGG_ALIGNMENT_BYTES);
}

/* A dense layer reads its weights from memory at nearly the pace at which few images multiply them, and its panels are parts of
 * long rows, which no hardware prefetcher follows. So in forward, it packs depth blocks of BLOCK_STEPS steps, which stay in the
 * level-1 cache, and prefetches as many ahead. Everything else packs the whole depth of a panel at once. */
static int depth_block_steps(const conv_problem *p, conv_pass pass)
{
    int steps = ((pass == CONV_FORWARD ? p->in : p->out) + 1) / 2;
    return p->kernel == 1 && pass == CONV_FORWARD && steps > BLOCK_STEPS ? BLOCK_STEPS : steps;
}

static size_t panel_elements(const conv_problem *p, conv_pass pass)
{
    return (size_t)p->kernel * p->kernel * depth_block_steps(p, pass) * PANEL_STEP;
}

static size_t partial_elements(const conv_problem *p, conv_pass pass)
{
    return p->kernel == 1 && pass == CONV_FORWARD ? (size_t)p->batch * PANEL : 0;
}

static forward_pass forward_pass_of(const conv_plan *plan, const conv_arguments *arguments)
{
    const conv_problem *p = &plan->problem;
    bool forward = plan->pass == CONV_FORWARD;
    forward_pass pass = {.plan = plan, .arguments = arguments, .sign = forward ? 1 : -1};
    pass.from = forward ? arguments->x : arguments->dy;
    pass.to = forward ? arguments->y : arguments->dx;
    pass.in = forward ? p->in : p->out;
    pass.out = forward ? p->out : p->in;
    pass.steps = (pass.in + 1) / 2;
    pass.from_is_bf16 = forward ? p->bf16_x : p->bf16_y;
    pass.to_is_bf16 = forward ? p->bf16_y : p->bf16_x;
    bool in_place = pass.from_is_bf16 && p->kernel > 1 && pass.in % 2 == 0;
    pass.activations = in_place ? pass.from16 : arguments->workspace;
    pass.stride = in_place ? (size_t)pass.in : copy_stride(p, pass.in);
    pass.block_steps = depth_block_steps(p, plan->pass);
    pass.panel_size = panel_elements(p, plan->pass);
    pass.partial_size = partial_elements(p, plan->pass);
    pass.panels = (bf16 *)((char *)arguments->workspace + activation_bytes(p, pass.in));
    pass.partials = (float *)(pass.panels + p->threads * pass.panel_size);
    pass.panel_count = int_divide_up(pass.out, PANEL);
    pass.row_parts = row_part_count(pass.panel_count, p->threads);
    find_segments(&pass, p->kernel, p->side);
    return pass;
}

static void round_activations(const forward_pass *pass, int thread, int threads)
{
    const conv_problem *p = &pass->plan->problem;
    size_t pixels = (size_t)pass->arguments->n * p->side * p->side;
    vgg_range own = range_part(pixels, threads, thread);
    bf16 *copy = pass->arguments->workspace;
    if (pass->activations != copy) return;
    for (size_t pixel = own.first; pixel < own.first + own.count; pixel++) {
        bf16 *row = copy + pixel * pass->stride;
        if (pass->from_is_bf16)
            memcpy(row, pass->from16 + pixel * pass->in, pass->in * sizeof *row);
        else
            bf16_pack_flat(row, pass->from + pixel * pass->in, pass->in);
        if (pass->in % 2 == 1) row[pass->in] = 0;
    }
}

/* Packs the block's weights of all taps. */
static void pack_block(const forward_pass *pass, bf16 *panel, const depth_block *block)
{
    const conv_problem *p = &pass->plan->problem;
    int columns = int_min(pass->out - block->column, PANEL);
    int channel = 2 * block->step, channels = int_min(pass->in - channel, 2 * block->steps);
    for (int tap = 0; tap < p->kernel * p->kernel; tap++) {
        const float *w = pass->arguments->w + (size_t)tap * p->in * p->out;
        bf16 *out = panel + (size_t)tap * pass->block_steps * PANEL_STEP;
        if (pass->sign > 0)
            bf16_pack_row_pairs(out, w + (size_t)channel * p->out + block->column, p->out, channels, columns);
        else
            bf16_pack_column_pairs(out, w + (size_t)block->column * p->out + channel, p->out, columns, channels);
    }
}

/* Row `row` of a panel's weights, tap after tap: each tap has as many rows of PANEL floats as there are input channels. In the
 * input gradient a panel's weights of one tap are contiguous. */
static weight_prefetch prefetch_from(const forward_pass *pass, int column, size_t row)
{
    const conv_problem *p = &pass->plan->problem;
    const float *w = pass->arguments->w + row / pass->in * p->in * p->out;
    if (pass->sign > 0) return (weight_prefetch){w + column + row % pass->in * p->out, p->out};
    return (weight_prefetch){w + (size_t)column * p->out + row % pass->in * PANEL, PANEL};
}

/* Sets what the tile prefetches: the rows of weights that come next, one at each of its steps. */
static void plan_prefetch(const forward_pass *pass, brgemm_tile *tile, depth_block *block)
{
    bool more = block->next_column < pass->out && block->next_row < block->end_row;
    tile->prefetch = more ? prefetch_from(pass, block->next_column, block->next_row) : (weight_prefetch){pass->arguments->w, 0};
    block->next_row += (size_t)tile->taps * tile->steps;
}

static void list_taps(const forward_pass *pass, brgemm_tile *tile, const bf16 *panel, const axis_segment *h, const axis_segment *w)
{
    const conv_problem *p = &pass->plan->problem;
    tile->taps = 0;
    for (int r = h->tap_begin; r < h->tap_end; r++) {
        for (int s = w->tap_begin; s < w->tap_end; s++) {
            int pixels = (r - p->kernel / 2) * p->side + s - p->kernel / 2;
            tile->tap_offset[tile->taps] = (ptrdiff_t)pass->sign * pixels * (ptrdiff_t)pass->stride;
            tile->tap_panel[tile->taps++] = panel + (size_t)(r * p->kernel + s) * pass->block_steps * PANEL_STEP;
        }
    }
}

/* The tile's rows are rows first .. first+count-1 of the pixels of h x w, image after image. */
static void list_rows(const forward_pass *pass, brgemm_tile *tile, const depth_block *block, const axis_segment *h,
                      const axis_segment *w, int first, int count)
{
    int side = pass->plan->problem.side;
    int width = w->end - w->begin, area = (h->end - h->begin) * width;
    for (int i = 0; i < count; i++) {
        int image = (first + i) / area, inside = (first + i) % area;
        size_t pixel = ((size_t)image * side + h->begin + inside / width) * side + w->begin + inside % width;
        tile->row[i] = pass->activations + pixel * pass->stride + 2 * block->step;
        size_t to = pixel * pass->out + block->column;
        if (pass->to_is_bf16)
            tile->out16[i] = pass->to16 + to;
        else
            tile->out[i] = pass->to + to;
        if (tile->masked) tile->positive[i] = pass->arguments->x16 + to;
    }
}

/* The task's part of the rows of h x w, in gemm tiles of nearly equal height: a last tile of few rows would waste the most. */
static void multiply_segment(const forward_pass *pass, brgemm_tile *tile, depth_block *block, float *partial, const axis_segment *h,
                             const axis_segment *w)
{
    size_t rows = (size_t)pass->arguments->n * (h->end - h->begin) * (w->end - w->begin);
    vgg_range own = range_part(rows, pass->row_parts, block->row_part);
    size_t tiles = size_divide_up(own.count, TILE_ROWS);
    for (size_t i = 0; i < tiles; i++) {
        vgg_range part = range_part(own.count, tiles, i);
        list_rows(pass, tile, block, h, w, (int)(own.first + part.first), (int)part.count);
        plan_prefetch(pass, tile, block);
        tile->partial = partial + part.first * PANEL;
        brgemm_tile_product[part.count](tile);
    }
}

static void multiply_block(const forward_pass *pass, const bf16 *panel, float *partial, depth_block *block)
{
    brgemm_tile tile = {.steps = block->steps, .first = block->step == 0};
    tile.last = block->step + block->steps == pass->steps;
    tile.columns = int_min(pass->out - block->column, PANEL);
    tile.to_bf16 = pass->to_is_bf16;
    tile.masked = pass->sign < 0 && (pass->plan->flags & CONV_FUSES_RELU_GRAD) && pass->plan->problem.input_is_relu;
    if (pass->sign > 0) {
        tile.bias = pass->arguments->b + block->column;
        tile.relu = pass->plan->problem.relu;
    }
    for (int h = 0; h < pass->segment_count; h++) {
        for (int w = 0; w < pass->segment_count; w++) {
            list_taps(pass, &tile, panel, &pass->segments[h], &pass->segments[w]);
            multiply_segment(pass, &tile, block, partial, &pass->segments[h], &pass->segments[w]);
        }
    }
}

/* The task's depth block from `step` on, and what to prefetch meanwhile: the next depth block of this panel, or the first of the
 * panel of the task that this thread most likely takes next. */
static depth_block block_at(const forward_pass *pass, int task, int step, int threads)
{
    int column = task / pass->row_parts * PANEL, next = (task + threads) / pass->row_parts * PANEL;
    depth_block block = {.column = column, .row_part = task % pass->row_parts, .step = step};
    block.steps = int_min(pass->block_steps, pass->steps - step);
    int end = step + block.steps, taps = pass->plan->problem.kernel * pass->plan->problem.kernel;
    bool last = end == pass->steps;
    block.next_column = last ? next : column;
    block.next_row = last ? 0 : 2 * (size_t)end;
    block.end_row = last && pass->block_steps == pass->steps ? (size_t)taps * pass->in
                                                             : block.next_row + 2 * (size_t)pass->block_steps;
    return block;
}

static void run(const conv_plan *plan, const conv_arguments *arguments)
{
    const forward_pass pass = forward_pass_of(plan, arguments);
#pragma omp parallel num_threads(plan->problem.threads)
    {
        bf16 *panel = pass.panels + omp_get_thread_num() * pass.panel_size;
        float *partial = pass.partials + omp_get_thread_num() * pass.partial_size;
        round_activations(&pass, omp_get_thread_num(), omp_get_num_threads());
#pragma omp barrier
#pragma omp for schedule(dynamic)
        for (int task = 0; task < pass.panel_count * pass.row_parts; task++) {
            for (int step = 0; step < pass.steps; step += pass.block_steps) {
                depth_block block = block_at(&pass, task, step, omp_get_num_threads());
                pack_block(&pass, panel, &block);
                multiply_block(&pass, panel, partial, &block);
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

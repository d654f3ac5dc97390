/* Direct convolution and dense layers (a dense layer is the case side 1, one tap): forward and input gradient.
 *
 * Both forward pass: result[h,w] = sum over taps of source[h + shift, w + shift] times a matrix of weights, and they differ in
 * which matrix, flipped and transposed for the gradient. The weights of one panel of result channels and one block of
 * depth are packed from where they lie, while the tiles before fetch them into the cache, and multiply the rows of all
 * positions before the next block is packed. Idea of reading the map in place: Georganas et al., "Anatomy of
 * high-performance deep learning convolutions on SIMD architectures", SC 2018 (arXiv:1808.05567).
 */
#include "vgg11/conv/progress_poll.h"
#include "conv/direct.h"

#include <omp.h>
#include <string.h>

#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

/* A packed block (DEPTH x panel) stays in the L1 cache, the rows of a image block in half of the L2. */
enum { DEPTH = 256, IMAGE_BLOCK_BYTES = 512 * 1024 };

/* One pass over one problem, in the words of the forward pass. */
typedef struct {
    const simd_kernels *kernels;
    bool transposed; /* input gradient */
    int side, kernel, taps;
    size_t area;
    size_t in, out; /* channels of source and result */
    size_t stride;  /* of the copy's rows */
    size_t panels;
    size_t depth_blocks; /* of depth */
    size_t n;
    size_t image_blocks; /* of images, each [H][W][images][stride] in the copy */
    size_t block_images;
    bool relu;
} forward_pass;

/* One packed block of weights and the rows that it multiplies. */
typedef struct {
    size_t panel;
    vgg_range images;
    vgg_range depth;
    int tap;
    bool first; /* of its panel and image block */
    bool last;
} forward_step;

typedef struct {
    float *copy;
    float *packed; /* this thread's [DEPTH][panel] */
    float *sums;   /* this thread's [H][W][images][panel] */
} forward_memory;

static forward_pass forward_pass_of(const conv_plan *plan, size_t n)
{
    const conv_problem *p = &plan->problem;
    forward_pass g = {.kernels = simd_kernels_select(), .side = p->side, .kernel = p->kernel, .n = n};
    g.transposed = plan->pass == CONV_INPUT_GRAD;
    g.relu = p->relu && !g.transposed;
    g.taps = p->kernel * p->kernel;
    g.area = (size_t)p->side * (size_t)p->side;
    g.in = (size_t)(g.transposed ? p->out : p->in);
    g.out = (size_t)(g.transposed ? p->in : p->out);
    g.stride = gemm_row_stride(g.in);
    g.panels = gemm_panels(g.kernels, g.out);
    g.depth_blocks = (g.in + DEPTH - 1) / DEPTH;
    size_t image_bytes = g.area * (g.in / g.depth_blocks + (size_t)g.kernels->panel) * sizeof(float);
    g.block_images = image_bytes < IMAGE_BLOCK_BYTES ? IMAGE_BLOCK_BYTES / image_bytes : 1;
    if (g.block_images > n) g.block_images = n;
    g.image_blocks = (n + g.block_images - 1) / g.block_images;
    return g;
}

static size_t copy_floats(const forward_pass *g) { return g->n * g->area * g->stride; }

static size_t packed_floats(const forward_pass *g) { return (size_t)DEPTH * (size_t)g->kernels->panel; }

static size_t sums_floats(const forward_pass *g) { return g->block_images * g->area * (size_t)g->kernels->panel; }

static forward_memory memory_of(const forward_pass *g, void *workspace)
{
    forward_memory memory = {.copy = workspace};
    memory.packed = memory.copy + copy_floats(g) + (size_t)omp_get_thread_num() * (packed_floats(g) + sums_floats(g));
    memory.sums = memory.packed + packed_floats(g);
    return memory;
}

/* Steps in order: panels, then image blocks, then depth blocks of depth, then taps. Every result is summed in the order of the last
 * two alone. */
static forward_step step_at(const forward_pass *g, size_t index)
{
    size_t taps = (size_t)g->taps, depth_blocks = g->depth_blocks * taps;
    size_t task = index / depth_blocks, part = index % depth_blocks;
    forward_step step = {.panel = task / g->image_blocks, .tap = (int)(part % taps)};
    step.images = range_part(g->n, g->image_blocks, task % g->image_blocks);
    step.depth = range_part(g->in, g->depth_blocks, part / taps);
    step.first = part == 0;
    step.last = part == depth_blocks - 1;
    return step;
}

/* The block's first weight: rows of depth by columns of the panel in forward, the transpose in the gradient. */
static const float *block_of(const forward_pass *g, const forward_step *step, const float *w)
{
    size_t column = step->panel * (size_t)g->kernels->panel;
    if (g->transposed) {
        size_t tap = (size_t)(g->taps - 1 - step->tap);
        return w + (tap * g->out + column) * g->in + step->depth.first;
    }
    return w + ((size_t)step->tap * g->in + step->depth.first) * g->out + column;
}

static size_t panel_columns(const forward_pass *g, size_t panel)
{
    size_t width = (size_t)g->kernels->panel, left = g->out - panel * width;
    return left < width ? left : width;
}

/* Whole panels of forward are packed by the first tile that multiplies with them. */
static bool packs_while_multiplying(const forward_pass *g, const forward_step *step)
{
    return !g->transposed && panel_columns(g, step->panel) == (size_t)g->kernels->panel;
}

static void pack_block(const forward_pass *g, const forward_step *step, const float *w, float *packed)
{
    const float *from = block_of(g, step, w);
    size_t columns = panel_columns(g, step->panel);
    if (packs_while_multiplying(g, step)) return;
    if (g->transposed)
        g->kernels->pack_transposed(packed, from, g->in, step->depth.count, columns);
    else
        g->kernels->pack(packed, from, g->out, step->depth.count, columns);
}

/* What pack_block() of the step will read. */
static gemm_prefetch prefetch_of(const forward_pass *g, const forward_step *step, const float *w)
{
    return gemm_prefetch_block(g->kernels, block_of(g, step, w), g->transposed ? g->in : g->out, g->transposed);
}

static float *rows_at(float *map, const forward_pass *g, vgg_range images, size_t stride, int row, int column)
{
    return map + ((size_t)row * (size_t)g->side + (size_t)column) * images.count * stride;
}

static void multiply_block(const forward_pass *g, const forward_step *step, const float *w, const forward_memory *memory,
                           gemm_prefetch next)
{
    direct_window v = direct_window_at(g->side, g->kernel, step->tap);
    float *image_block = memory->copy + step->images.first * g->area * g->stride;
    size_t panel = (size_t)g->kernels->panel;
    const float *unpacked = packs_while_multiplying(g, step) ? block_of(g, step, w) : NULL;
    if (v.column_count == 0) return;
    for (int row = v.first_row; row < v.first_row + v.row_count; row++) {
        const float *a = rows_at(image_block, g, step->images, g->stride, row + v.row_shift, v.first_column + v.column_shift);
        gemm_tile tile = {.a = a + step->depth.first,
                          .a_stride = g->stride,
                          .b = memory->packed,
                          .c = rows_at(memory->sums, g, step->images, panel, row, v.first_column),
                          .c_stride = panel,
                          .depth = step->depth.count,
                          .accumulate = true,
                          .unpacked = row == v.first_row ? unpacked : NULL,
                          .unpacked_stride = g->out,
                          .packed = memory->packed};
        gemm_by_rows(g->kernels, &tile, (size_t)v.column_count * step->images.count, &next, row == v.first_row);
    }
}

static void start_sums(const forward_pass *g, const forward_step *step, const float *b, float *sums)
{
    size_t panel = (size_t)g->kernels->panel, columns = panel_columns(g, step->panel);
    memset(sums, 0, step->images.count * g->area * panel * sizeof *sums);
    if (!b) return;
    for (size_t row = 0; row < step->images.count * g->area; row++)
        memcpy(sums + row * panel, b + step->panel * panel, columns * sizeof *sums);
}

/* `positive` as the result, or NULL. */
static void finish_sums(const forward_pass *g, const forward_step *step, const float *sums, const float *positive, float *result)
{
    size_t panel = (size_t)g->kernels->panel, columns = panel_columns(g, step->panel);
    for (size_t i = 0; i < step->images.count; i++) {
        size_t first = (step->images.first + i) * g->area * g->out + step->panel * panel;
        for (size_t position = 0; position < g->area; position++) {
            size_t to = first + position * g->out;
            const float *from = sums + (position * step->images.count + i) * panel;
            if (positive)
                g->kernels->copy_where(result + to, from, positive + to, columns);
            else
                g->kernels->copy(result + to, from, columns, g->relu);
        }
    }
}

static void copy_images(const forward_pass *g, const float *source, float *copy)
{
#pragma omp for schedule(static)
    for (size_t i = 0; i < g->n; i++) {
        size_t image_block = 0;
        while (i >= range_part(g->n, g->image_blocks, image_block).first + range_part(g->n, g->image_blocks, image_block).count)
            image_block++;
        vgg_range images = range_part(g->n, g->image_blocks, image_block);
        float *to = copy + (images.first * g->area + (i - images.first)) * g->stride;
        for (size_t position = 0; position < g->area; position++)
            g->kernels->copy(to + position * images.count * g->stride, source + (i * g->area + position) * g->in, g->in, false);
    }
}

/* The task that follows is likely to be the same thread's, too. */
static void run_task(const forward_pass *g, size_t task, const conv_arguments *a, const float *positive,
                     const forward_memory *memory)
{
    size_t steps = g->depth_blocks * (size_t)g->taps, end = g->panels * g->image_blocks * steps;
    for (size_t index = task * steps; index < (task + 1) * steps; index++) {
        forward_step step = step_at(g, index);
        forward_step following = step_at(g, index + 1 < end ? index + 1 : index);
        if (step.first) start_sums(g, &step, g->transposed ? NULL : a->b, memory->sums);
        pack_block(g, &step, a->w, memory->packed);
        multiply_block(g, &step, a->w, memory, prefetch_of(g, &following, a->w));
        if (step.last) finish_sums(g, &step, memory->sums, positive, g->transposed ? a->dx : a->y);
    }
    progress_poll();
}

static void run_forward(const conv_plan *plan, const conv_arguments *a)
{
    forward_pass g = forward_pass_of(plan, (size_t)a->n);
    const float *positive = g.transposed && plan->problem.input_is_relu ? a->x : NULL;
#pragma omp parallel num_threads(plan->problem.threads)
    {
        forward_memory memory = memory_of(&g, a->workspace);
        copy_images(&g, g.transposed ? a->dy : a->x, memory.copy);
#pragma omp for schedule(guided)
        for (size_t task = 0; task < g.panels * g.image_blocks; task++) run_task(&g, task, a, positive, &memory);
    }
}

static vgg_status plan_direct(conv_plan *plan)
{
    const conv_problem *p = &plan->problem;
    if (plan->pass == CONV_WEIGHT_GRAD) {
        direct_plan_weight_grad(plan);
        return VGG_OK;
    }
    forward_pass g = forward_pass_of(plan, (size_t)p->batch);
    plan->flags |= CONV_FUSES_RELU_GRAD;
    size_t each = packed_floats(&g) + sums_floats(&g);
    plan->run = run_forward;
    plan->workspace_bytes = (copy_floats(&g) + (size_t)p->threads * each) * sizeof(float);
    return VGG_OK;
}

const conv_algorithm conv_direct = {
    .name = "direct",
    .good_when = "dense layers and small maps: weights packed as they stream past, padding never multiplied",
    .precision = PRECISION_FP32,
    .tolerance = {1e-5f, 1e-5f, 1e-5f},
    .plan = plan_direct,
};

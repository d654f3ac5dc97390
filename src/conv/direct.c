/* Direct convolution and dense layers (a dense layer is the case side 1, one tap): forward and input gradient.
 *
 * Both are one routine, the forward pass: result[h,w] = sum over taps of source[h + shift, w + shift] times a matrix of weights.
 * For the input gradient the order of the taps is reversed and their matrices are transposed. The weights of one panel of result
 * channels and one depth block are packed from where they lie, prefetched by the gemm tiles before, and multiplied with the rows of
 * all positions before the next depth block is packed. Reading the map in place follows Georganas et al., "Anatomy of
 * high-performance deep learning convolutions on SIMD architectures", SC 2018 (arXiv:1808.05567).
 */
#include "vgg11/conv/progress_poll.h"
#include "conv/direct.h"

#include <omp.h>
#include <string.h>

#include "vgg11/base/integers.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

/* A packed block of weights, at most DEPTH x panel, stays in the L1 cache, and the rows of an image block in half of the L2
 * cache. */
enum { DEPTH = 256, IMAGE_BLOCK_BYTES = 512 * 1024 };

/* One pass over one problem: source and result are x and y, or dy and dx. */
typedef struct {
    const simd_kernels *kernels;
    bool transposed; /* input gradient */
    int side, kernel, taps;
    size_t area;
    size_t in, out; /* channels of source and result */
    size_t stride;  /* floats from row to row of the copy */
    size_t panels;
    size_t depth_blocks; /* blocks of the source's channels */
    size_t n;
    size_t image_blocks; /* blocks of images, each [H][W][images][stride] in the copy */
    size_t block_images; /* most images in a block */
    bool relu;
} forward_pass;

/* A step: one packed block of weights, and the rows that it multiplies. */
typedef struct {
    size_t panel;
    vgg_range images;
    vgg_range depth; /* channels of the source */
    int tap;
    bool first; /* the first step of its panel and image block: sums start from the bias or zero */
    bool last;  /* the last step of its panel and image block: sums become results */
} forward_step;

typedef struct {
    float *copy;   /* of the source, for all threads */
    float *packed; /* this thread's [DEPTH][panel] */
    float *sums;   /* this thread's [H][W][images][panel] */
} forward_memory;

static forward_pass forward_pass_of(const conv_plan *plan, size_t n)
{
    const conv_problem *p = &plan->problem;
    forward_pass pass = {.kernels = simd_kernels_select(), .side = p->side, .kernel = p->kernel, .n = n};
    pass.transposed = plan->pass == CONV_INPUT_GRAD;
    pass.relu = p->relu && !pass.transposed;
    pass.taps = p->kernel * p->kernel;
    pass.area = (size_t)p->side * (size_t)p->side;
    pass.in = (size_t)(pass.transposed ? p->out : p->in);
    pass.out = (size_t)(pass.transposed ? p->in : p->out);
    pass.stride = gemm_row_stride(pass.in);
    pass.panels = gemm_panels(pass.kernels, pass.out);
    pass.depth_blocks = size_divide_up(pass.in, DEPTH);
    size_t image_bytes = pass.area * (pass.in / pass.depth_blocks + (size_t)pass.kernels->panel) * sizeof(float);
    pass.block_images = size_min(image_bytes < IMAGE_BLOCK_BYTES ? IMAGE_BLOCK_BYTES / image_bytes : 1, n);
    pass.image_blocks = size_divide_up(n, pass.block_images);
    return pass;
}

static size_t copy_floats(const forward_pass *pass) { return pass->n * pass->area * pass->stride; }

static size_t packed_floats(const forward_pass *pass) { return (size_t)DEPTH * (size_t)pass->kernels->panel; }

static size_t sums_floats(const forward_pass *pass) { return pass->block_images * pass->area * (size_t)pass->kernels->panel; }

static forward_memory memory_of(const forward_pass *pass, void *workspace)
{
    forward_memory memory = {.copy = workspace};
    memory.packed = memory.copy + copy_floats(pass) + (size_t)omp_get_thread_num() * (packed_floats(pass) + sums_floats(pass));
    memory.sums = memory.packed + packed_floats(pass);
    return memory;
}

/* Step `index`, in the order panels, image blocks, depth blocks, taps. Each result's terms are added in the order of depth blocks
 * and taps, however images and panels are cut. */
static forward_step step_at(const forward_pass *pass, size_t index)
{
    size_t taps = (size_t)pass->taps, steps = pass->depth_blocks * taps;
    size_t task = index / steps, part = index % steps;
    forward_step step = {.panel = task / pass->image_blocks, .tap = (int)(part % taps)};
    step.images = range_part(pass->n, pass->image_blocks, task % pass->image_blocks);
    step.depth = range_part(pass->in, pass->depth_blocks, part / taps);
    step.first = part == 0;
    step.last = part == steps - 1;
    return step;
}

/* The first weight of the step's block, which lies in memory as [depth][column] in forward and as [column][depth] in the input
 * gradient. */
static const float *block_of(const forward_pass *pass, const forward_step *step, const float *w)
{
    size_t column = step->panel * (size_t)pass->kernels->panel;
    if (pass->transposed) {
        size_t tap = (size_t)(pass->taps - 1 - step->tap);
        return w + (tap * pass->out + column) * pass->in + step->depth.first;
    }
    return w + ((size_t)step->tap * pass->in + step->depth.first) * pass->out + column;
}

static size_t panel_columns(const forward_pass *pass, size_t panel)
{
    size_t width = (size_t)pass->kernels->panel;
    return size_min(pass->out - panel * width, width);
}

/* In forward, the first gemm tile that multiplies with a whole panel packs it. */
static bool packs_while_multiplying(const forward_pass *pass, const forward_step *step)
{
    return !pass->transposed && panel_columns(pass, step->panel) == (size_t)pass->kernels->panel;
}

static void pack_block(const forward_pass *pass, const forward_step *step, const float *w, float *packed)
{
    const float *from = block_of(pass, step, w);
    size_t columns = panel_columns(pass, step->panel);
    if (packs_while_multiplying(pass, step)) return;
    if (pass->transposed)
        pass->kernels->pack_transposed(packed, from, pass->in, step->depth.count, columns);
    else
        pass->kernels->pack(packed, from, pass->out, step->depth.count, columns);
}

/* A prefetch of what pack_block() will read for the step. */
static gemm_prefetch prefetch_of(const forward_pass *pass, const forward_step *step, const float *w)
{
    return gemm_prefetch_block(pass->kernels, block_of(pass, step, w), pass->transposed ? pass->in : pass->out, pass->transposed);
}

static float *rows_at(float *map, const forward_pass *pass, vgg_range images, size_t stride, int row, int column)
{
    return map + ((size_t)row * (size_t)pass->side + (size_t)column) * images.count * stride;
}

static void multiply_block(const forward_pass *pass, const forward_step *step, const float *w, const forward_memory *memory,
                           gemm_prefetch next)
{
    direct_window v = direct_window_at(pass->side, pass->kernel, step->tap);
    float *image_block = memory->copy + step->images.first * pass->area * pass->stride;
    size_t panel = (size_t)pass->kernels->panel;
    const float *unpacked = packs_while_multiplying(pass, step) ? block_of(pass, step, w) : NULL;
    if (v.column_count == 0) return;
    for (int row = v.first_row; row < v.first_row + v.row_count; row++) {
        const float *a = rows_at(image_block, pass, step->images, pass->stride, row + v.row_shift, v.first_column + v.column_shift);
        gemm_tile tile = {.a = a + step->depth.first,
                          .a_stride = pass->stride,
                          .b = memory->packed,
                          .c = rows_at(memory->sums, pass, step->images, panel, row, v.first_column),
                          .c_stride = panel,
                          .depth = step->depth.count,
                          .accumulate = true,
                          .unpacked = row == v.first_row ? unpacked : NULL,
                          .unpacked_stride = pass->out,
                          .packed = memory->packed};
        gemm_by_rows(pass->kernels, &tile, (size_t)v.column_count * step->images.count, &next, row == v.first_row);
    }
}

static void start_sums(const forward_pass *pass, const forward_step *step, const float *b, float *sums)
{
    size_t panel = (size_t)pass->kernels->panel, columns = panel_columns(pass, step->panel);
    memset(sums, 0, step->images.count * pass->area * panel * sizeof *sums);
    if (!b) return;
    for (size_t row = 0; row < step->images.count * pass->area; row++)
        memcpy(sums + row * panel, b + step->panel * panel, columns * sizeof *sums);
}

/* Turns sums into results: in forward through the ReLU; zero where `positive` is <= 0, if it is not NULL. It is laid out like the
 * result. */
static void finish_sums(const forward_pass *pass, const forward_step *step, const float *sums, const float *positive, float *result)
{
    size_t panel = (size_t)pass->kernels->panel, columns = panel_columns(pass, step->panel);
    for (size_t i = 0; i < step->images.count; i++) {
        size_t first = (step->images.first + i) * pass->area * pass->out + step->panel * panel;
        for (size_t position = 0; position < pass->area; position++) {
            size_t to = first + position * pass->out;
            const float *from = sums + (position * step->images.count + i) * panel;
            if (positive)
                pass->kernels->copy_where(result + to, from, positive + to, columns);
            else
                pass->kernels->copy(result + to, from, columns, pass->relu);
        }
    }
}

static void copy_images(const forward_pass *pass, const float *source, float *copy)
{
#pragma omp for schedule(static)
    for (size_t i = 0; i < pass->n; i++) {
        size_t image_block = 0;
        while (i >= range_part(pass->n, pass->image_blocks, image_block).first +
                        range_part(pass->n, pass->image_blocks, image_block).count)
            image_block++;
        vgg_range images = range_part(pass->n, pass->image_blocks, image_block);
        float *to = copy + (images.first * pass->area + (i - images.first)) * pass->stride;
        for (size_t position = 0; position < pass->area; position++)
            pass->kernels->copy(to + position * images.count * pass->stride, source + (i * pass->area + position) * pass->in,
                                pass->in, false);
    }
}

/* Each step prefetches the weights of the next one, also where that begins the next task, which is likely to be this thread's. */
static void run_task(const forward_pass *pass, size_t task, const conv_arguments *a, const float *positive,
                     const forward_memory *memory)
{
    size_t steps = pass->depth_blocks * (size_t)pass->taps, end = pass->panels * pass->image_blocks * steps;
    for (size_t index = task * steps; index < (task + 1) * steps; index++) {
        forward_step step = step_at(pass, index);
        forward_step following = step_at(pass, index + 1 < end ? index + 1 : index);
        if (step.first) start_sums(pass, &step, pass->transposed ? NULL : a->b, memory->sums);
        pack_block(pass, &step, a->w, memory->packed);
        multiply_block(pass, &step, a->w, memory, prefetch_of(pass, &following, a->w));
        if (step.last) finish_sums(pass, &step, memory->sums, positive, pass->transposed ? a->dx : a->y);
    }
    progress_poll();
}

static void run_forward(const conv_plan *plan, const conv_arguments *a)
{
    forward_pass pass = forward_pass_of(plan, (size_t)a->n);
    const float *positive = pass.transposed && plan->problem.input_is_relu ? a->x : NULL;
#pragma omp parallel num_threads(plan->problem.threads)
    {
        forward_memory memory = memory_of(&pass, a->workspace);
        copy_images(&pass, pass.transposed ? a->dy : a->x, memory.copy);
#pragma omp for schedule(guided)
        for (size_t task = 0; task < pass.panels * pass.image_blocks; task++) run_task(&pass, task, a, positive, &memory);
    }
}

static vgg_status plan_direct(conv_plan *plan)
{
    const conv_problem *p = &plan->problem;
    if (plan->pass == CONV_WEIGHT_GRAD) {
        direct_plan_weight_grad(plan);
        return VGG_OK;
    }
    forward_pass pass = forward_pass_of(plan, (size_t)p->batch);
    plan->flags |= CONV_FUSES_RELU_GRAD;
    size_t each = packed_floats(&pass) + sums_floats(&pass);
    plan->run = run_forward;
    plan->workspace_bytes = (copy_floats(&pass) + (size_t)p->threads * each) * sizeof(float);
    return VGG_OK;
}

const conv_algorithm conv_direct = {
    .name = "direct",
    .good_when = "dense layers and small maps: weights packed as they stream past, padding never multiplied",
    .precision = PRECISION_FP32,
    .tolerance = {1e-5f, 1e-5f, 1e-5f},
    .plan = plan_direct,
};

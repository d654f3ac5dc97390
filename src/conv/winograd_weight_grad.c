/* Weight gradient with transformed operands: dw is the inverse transform of the sum over tiles of (elements of x) transposed times
 * (elements of dy), one matrix product for each element. A task is a channel block of x by a panel of dy: its sums over all tiles
 * stay in the L2 cache and are then transformed back, so that nothing is reduced between threads. */
#include <omp.h>
#include <stdint.h>

#include "vgg11/conv/progress_poll.h"
#include "conv/winograd.h"
#include "vgg11/conv/parts.h"
#include "vgg11/base/memory.h"

/* A gradient of STREAM_BYTES or more is stored past the caches: it would have been evicted before it is read. */
enum { TAPS = 9, STREAM_BYTES = 1024 * 1024 };

typedef struct {
    winograd_shape shape;
    winograd_layout x;
    winograd_layout dy;
    size_t panel;      /* columns of a panel */
    size_t sum_stride; /* floats from element to element of a task's sums, [element][channel of the channel block][panel] */
    bool keep_sums;    /* there are several L3 blocks, so that the sums of all tasks have to be kept */
} weight_grad_pass;

static weight_grad_pass weight_grad_pass_of(const conv_plan *plan, size_t n)
{
    weight_grad_pass pass = {.shape = winograd_shape_of(plan, n)};
    pass.panel = (size_t)pass.shape.kernels->panel;
    pass.x = winograd_layout_of(&pass.shape, pass.shape.in, WINOGRAD_DEPTH, REDUCE_TILES);
    pass.dy = winograd_layout_of(&pass.shape, pass.shape.out, pass.panel, REDUCE_TILES);
    pass.sum_stride = WINOGRAD_DEPTH * pass.panel + WINOGRAD_LINE_FLOATS;
    size_t sums = pass.x.channel_blocks * pass.dy.channel_blocks * (size_t)pass.shape.transforms->elements * pass.sum_stride;
    winograd_set_l3_block(&pass.shape, pass.x.tile_block_stride + pass.dy.tile_block_stride, sums);
    pass.keep_sums = pass.shape.tile_blocks > pass.shape.l3_tile_blocks;
    return pass;
}

static size_t task_floats(const weight_grad_pass *pass) { return (size_t)pass->shape.transforms->elements * pass->sum_stride; }

static size_t task_count(const weight_grad_pass *pass) { return pass->x.channel_blocks * pass->dy.channel_blocks; }

static void sum_products(const weight_grad_pass *pass, vgg_range l3_block, const float *x, const float *dy, size_t channels,
                         float *sums)
{
    for (size_t tile_block = 0; tile_block < l3_block.count; tile_block++) {
        for (size_t p = 0; p < (size_t)pass->shape.transforms->elements; p++) {
            gemm_tile tile = {
                .a = x + tile_block * pass->x.tile_block_stride + p * pass->x.element_stride,
                .a_stride = WINOGRAD_DEPTH,
                .b = dy + tile_block * pass->dy.tile_block_stride + p * pass->dy.element_stride,
                .c = sums + p * pass->sum_stride,
                .c_stride = pass->panel,
                .depth = winograd_words(&pass->shape, winograd_tile_block(&pass->shape, l3_block.first + tile_block).count),
                .accumulate = l3_block.first + tile_block > 0};
            gemm_by_columns(pass->shape.kernels, &tile, channels);
        }
    }
}

static void store_weight_grad(const weight_grad_pass *pass, size_t channel_block, size_t panel, const float *sums, float *dw)
{
    size_t in = pass->shape.in, out = pass->shape.out, first = channel_block * WINOGRAD_DEPTH, column = panel * pass->panel;
    size_t channels = size_min(in - first, WINOGRAD_DEPTH), columns = size_min(out - column, pass->panel);
    bool aligned = (uintptr_t)dw % VGG_ALIGNMENT_BYTES == 0 && out * sizeof *dw % VGG_ALIGNMENT_BYTES == 0;
    bool stream = aligned && columns == pass->panel && TAPS * in * out * sizeof *dw >= STREAM_BYTES;
    for (size_t c = 0; c < channels; c++)
        pass->shape.transforms->inverse_transform_filter(dw + (first + c) * out + column, in * out, sums + c * pass->panel,
                                                         pass->sum_stride, columns, stream);
}

typedef struct {
    float *x;    /* elements of an L3 block of x */
    float *dy;   /* elements of an L3 block of dy */
    float *sums; /* [tasks or threads][element][channel of the channel block][panel] */
} weight_grad_memory;

static void sum_l3_block(const weight_grad_pass *pass, vgg_range l3_block, const weight_grad_memory *memory, float *dw)
{
    bool last = l3_block.first + l3_block.count == pass->shape.tile_blocks;
#pragma omp for schedule(guided)
    for (size_t task = 0; task < task_count(pass); task++) {
        size_t panel = task / pass->x.channel_blocks, channel_block = task % pass->x.channel_blocks;
        size_t channels = size_min(pass->shape.in - channel_block * WINOGRAD_DEPTH, WINOGRAD_DEPTH);
        float *sums = memory->sums + (pass->keep_sums ? task : (size_t)omp_get_thread_num()) * task_floats(pass);
        sum_products(pass, l3_block, memory->x + channel_block * pass->x.channel_block_stride,
                     memory->dy + panel * pass->dy.channel_block_stride, channels, sums);
        if (last) store_weight_grad(pass, channel_block, panel, sums, dw);
        progress_poll();
    }
}

static void sum_dy(const conv_plan *plan, const conv_arguments *a, size_t pixels, vgg_range channels)
{
    if (plan->flags & CONV_NATIVE_BF16)
        conv_sum_rows_bf16(a->dy16, (size_t)plan->problem.out, pixels, channels, a->db);
    else
        conv_sum_rows(a->dy, (size_t)plan->problem.out, pixels, channels, a->db);
}

static void run_weight_gradient(const conv_plan *plan, const conv_arguments *a)
{
    weight_grad_pass pass = weight_grad_pass_of(plan, (size_t)a->n);
    const winograd_transforms *transforms = pass.shape.transforms;
    weight_grad_memory memory = {.x = a->workspace};
    memory.dy = memory.x + winograd_layout_floats(&pass.shape, &pass.x);
    memory.sums = memory.dy + winograd_layout_floats(&pass.shape, &pass.dy);
    winograd_maps x = {a->x, plan->flags & CONV_NATIVE_BF16, NULL, false, pass.shape.in};
    winograd_maps dy = {a->dy, plan->flags & CONV_NATIVE_BF16, a->pool_argmax, plan->problem.pool, pass.shape.out};
    size_t threads = (size_t)plan->problem.threads, pixels = (size_t)(a->n * plan->problem.side * plan->problem.side);
    if (dy.pooled) pixels /= 4;
#pragma omp parallel num_threads(plan->problem.threads)
    {
        for (size_t first = 0; first < pass.shape.tile_blocks; first += pass.shape.l3_tile_blocks) {
            vgg_range l3_block = winograd_l3_block(&pass.shape, first);
            winograd_transform(&pass.shape, &pass.x, l3_block, &x, transforms->transform_input_over_tiles, transforms->margin,
                               memory.x);
            winograd_transform(&pass.shape, &pass.dy, l3_block, &dy, transforms->transform_output_grad, 0, memory.dy);
            sum_l3_block(&pass, l3_block, &memory, a->dw);
        }
        pass.shape.kernels->finish_streams();
#pragma omp for schedule(static)
        for (size_t i = 0; i < threads; i++) sum_dy(plan, a, pixels, range_part(pass.shape.out, threads, i));
    }
}

void winograd_plan_weight_grad(conv_plan *plan)
{
    weight_grad_pass pass = weight_grad_pass_of(plan, (size_t)plan->problem.batch);
    size_t elements = winograd_layout_floats(&pass.shape, &pass.x) + winograd_layout_floats(&pass.shape, &pass.dy);
    size_t threads = (size_t)plan->problem.threads, tasks = pass.keep_sums ? size_max(task_count(&pass), threads) : threads;
    plan->run = run_weight_gradient;
    plan->workspace_bytes = (elements + tasks * task_floats(&pass)) * sizeof(float);
}

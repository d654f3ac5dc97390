/* Weight gradient by a bilinear algorithm: dw = collected from sum over tiles of (elements of x) transposed (elements of dy), one
 * matrix product per element. A task of work, a channel block of input by a panel of output channels, is summed over all tiles in the
 * L2 cache and then collected, so nothing is reduced between threads. */
#include <omp.h>
#include <stdint.h>

#include "vgg11/conv/progress_poll.h"
#include "conv/winograd.h"
#include "vgg11/conv/parts.h"
#include "vgg11/base/memory.h"

/* A gradient larger than STREAM_BYTES is stored past the caches, since it would not be there when it is wanted. */
enum { TAPS = 9, STREAM_BYTES = 1024 * 1024 };

typedef struct {
    winograd_shape shape;
    winograd_layout x;
    winograd_layout dy;
    size_t panel;
    size_t sum_stride; /* of one task's sums, [element][channel of channel block][panel] */
    bool keep_sums;    /* of every task from L3 block to L3 block; else a thread needs only those of its present task */
} weight_grad_pass;

static weight_grad_pass weight_grad_pass_of(const conv_plan *plan, size_t n)
{
    weight_grad_pass s = {.shape = winograd_shape_of(plan, n)};
    s.panel = (size_t)s.shape.kernels->panel;
    s.x = winograd_layout_of(&s.shape, s.shape.in, WINOGRAD_DEPTH, REDUCE_TILES);
    s.dy = winograd_layout_of(&s.shape, s.shape.out, s.panel, REDUCE_TILES);
    s.sum_stride = WINOGRAD_DEPTH * s.panel + WINOGRAD_LINE_FLOATS;
    size_t sums = s.x.channel_blocks * s.dy.channel_blocks * (size_t)s.shape.form->elements * s.sum_stride;
    winograd_set_l3_block(&s.shape, s.x.tile_block_stride + s.dy.tile_block_stride, sums);
    s.keep_sums = s.shape.tile_blocks > s.shape.l3_tile_blocks;
    return s;
}

static size_t task_floats(const weight_grad_pass *s) { return (size_t)s->shape.form->elements * s->sum_stride; }

static size_t task_count(const weight_grad_pass *s) { return s->x.channel_blocks * s->dy.channel_blocks; }

static void sum_products(const weight_grad_pass *s, vgg_range l3_block, const float *x, const float *dy, size_t channels,
                         float *sums)
{
    for (size_t tile_block = 0; tile_block < l3_block.count; tile_block++) {
        for (size_t p = 0; p < (size_t)s->shape.form->elements; p++) {
            gemm_tile tile = {.a = x + tile_block * s->x.tile_block_stride + p * s->x.element_stride,
                              .a_stride = WINOGRAD_DEPTH,
                              .b = dy + tile_block * s->dy.tile_block_stride + p * s->dy.element_stride,
                              .c = sums + p * s->sum_stride,
                              .c_stride = s->panel,
                              .depth = winograd_words(&s->shape, winograd_tile_block(&s->shape, l3_block.first + tile_block).count),
                              .accumulate = l3_block.first + tile_block > 0};
            gemm_by_columns(s->shape.kernels, &tile, channels);
        }
    }
}

static void store_weight_grad(const weight_grad_pass *s, size_t channel_block, size_t panel, const float *sums, float *dw)
{
    size_t in = s->shape.in, out = s->shape.out, first = channel_block * WINOGRAD_DEPTH, column = panel * s->panel;
    size_t channels = minimum(in - first, WINOGRAD_DEPTH), columns = minimum(out - column, s->panel);
    bool aligned = (uintptr_t)dw % VGG_ALIGNMENT_BYTES == 0 && out * sizeof *dw % VGG_ALIGNMENT_BYTES == 0;
    bool stream = aligned && columns == s->panel && TAPS * in * out * sizeof *dw >= STREAM_BYTES;
    for (size_t c = 0; c < channels; c++)
        s->shape.form->inverse_transform_filter(dw + (first + c) * out + column, in * out, sums + c * s->panel, s->sum_stride,
                                                columns, stream);
}

typedef struct {
    float *x;
    float *dy;
    float *sums;
} weight_grad_memory;

static void sum_l3_block(const weight_grad_pass *s, vgg_range l3_block, const weight_grad_memory *memory, float *dw)
{
    bool last = l3_block.first + l3_block.count == s->shape.tile_blocks;
#pragma omp for schedule(guided)
    for (size_t task = 0; task < task_count(s); task++) {
        size_t panel = task / s->x.channel_blocks, channel_block = task % s->x.channel_blocks;
        size_t channels = minimum(s->shape.in - channel_block * WINOGRAD_DEPTH, WINOGRAD_DEPTH);
        float *sums = memory->sums + (s->keep_sums ? task : (size_t)omp_get_thread_num()) * task_floats(s);
        sum_products(s, l3_block, memory->x + channel_block * s->x.channel_block_stride,
                     memory->dy + panel * s->dy.channel_block_stride, channels, sums);
        if (last) store_weight_grad(s, channel_block, panel, sums, dw);
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
    weight_grad_pass s = weight_grad_pass_of(plan, (size_t)a->n);
    const winograd_transforms *form = s.shape.form;
    weight_grad_memory memory = {.x = a->workspace};
    memory.dy = memory.x + winograd_layout_floats(&s.shape, &s.x);
    memory.sums = memory.dy + winograd_layout_floats(&s.shape, &s.dy);
    winograd_maps x = {a->x, plan->flags & CONV_NATIVE_BF16, NULL, false, s.shape.in};
    winograd_maps dy = {a->dy, plan->flags & CONV_NATIVE_BF16, a->pool_argmax, plan->problem.pool, s.shape.out};
    size_t threads = (size_t)plan->problem.threads, pixels = (size_t)(a->n * plan->problem.side * plan->problem.side);
    if (dy.pooled) pixels /= 4;
#pragma omp parallel num_threads(plan->problem.threads)
    {
        for (size_t first = 0; first < s.shape.tile_blocks; first += s.shape.l3_tile_blocks) {
            vgg_range l3_block = winograd_l3_block(&s.shape, first);
            winograd_transform(&s.shape, &s.x, l3_block, &x, form->transform_input_over_tiles, form->margin, memory.x);
            winograd_transform(&s.shape, &s.dy, l3_block, &dy, form->transform_output_grad, 0, memory.dy);
            sum_l3_block(&s, l3_block, &memory, a->dw);
        }
        s.shape.kernels->finish_streams();
#pragma omp for schedule(static)
        for (size_t i = 0; i < threads; i++) sum_dy(plan, a, pixels, range_part(s.shape.out, threads, i));
    }
}

void winograd_plan_weight_grad(conv_plan *plan)
{
    weight_grad_pass s = weight_grad_pass_of(plan, (size_t)plan->problem.batch);
    size_t elements = winograd_layout_floats(&s.shape, &s.x) + winograd_layout_floats(&s.shape, &s.dy);
    size_t tasks = s.keep_sums ? task_count(&s) : (size_t)plan->problem.threads;
    if (tasks < (size_t)plan->problem.threads) tasks = (size_t)plan->problem.threads;
    plan->run = run_weight_gradient;
    plan->workspace_bytes = (elements + tasks * task_floats(&s)) * sizeof(float);
}

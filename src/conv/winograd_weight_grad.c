/* Weight gradient by a bilinear algorithm: dw = collected from sum over tiles of (points of x) transposed (points of dy), one
 * matrix product per point. A unit of work, a block of input by a panel of output channels, is summed over all tiles in the
 * L2 cache and then collected, so nothing is reduced between threads. */
#include <omp.h>
#include <stdint.h>

#include "vgg11/conv/progress_poll.h"
#include "conv/winograd.h"
#include "vgg11/conv/parts.h"
#include "vgg11/base/memory.h"

/* A gradient larger than STREAM_BYTES is stored past the caches, since it would not be there when it is wanted. */
enum { TAPS = 9, LINE_FLOATS = 16, STREAM_BYTES = 1024 * 1024 };

typedef struct {
    winograd_shape shape;
    winograd_layout x;
    winograd_layout dy;
    size_t panel;
    size_t sum_stride; /* of one unit's sums, [point][channel of block][panel] */
    bool keep_sums;    /* of every unit from wave to wave; else a thread needs only those of its present unit */
} scatter;

static scatter scatter_of(const conv_plan *plan, size_t n)
{
    scatter s = {.shape = winograd_shape_of(plan, n)};
    s.panel = (size_t)s.shape.kernels->panel;
    s.x = winograd_layout_of(&s.shape, s.shape.in, WINOGRAD_DEPTH, REDUCE_TILES);
    s.dy = winograd_layout_of(&s.shape, s.shape.out, s.panel, REDUCE_TILES);
    s.sum_stride = WINOGRAD_DEPTH * s.panel + LINE_FLOATS;
    size_t sums = s.x.blocks * s.dy.blocks * (size_t)s.shape.form->points * s.sum_stride;
    winograd_set_l3_block(&s.shape, s.x.group_stride + s.dy.group_stride, sums);
    s.keep_sums = s.shape.groups > s.shape.wave_groups;
    return s;
}

static size_t unit_floats(const scatter *s) { return (size_t)s->shape.form->points * s->sum_stride; }

static size_t unit_count(const scatter *s) { return s->x.blocks * s->dy.blocks; }

static void sum_products(const scatter *s, vgg_range wave, const float *x, const float *dy, size_t channels, float *sums)
{
    for (size_t group = 0; group < wave.count; group++) {
        for (size_t p = 0; p < (size_t)s->shape.form->points; p++) {
            gemm_tile tile = {.a = x + group * s->x.group_stride + p * s->x.point_stride,
                              .a_stride = WINOGRAD_DEPTH,
                              .b = dy + group * s->dy.group_stride + p * s->dy.point_stride,
                              .c = sums + p * s->sum_stride,
                              .c_stride = s->panel,
                              .depth = winograd_words(&s->shape, winograd_tile_block(&s->shape, wave.first + group).count),
                              .accumulate = wave.first + group > 0};
            gemm_by_columns(s->shape.kernels, &tile, channels);
        }
    }
}

static void collect_weights(const scatter *s, size_t block, size_t panel, const float *sums, float *dw)
{
    size_t in = s->shape.in, out = s->shape.out, first = block * WINOGRAD_DEPTH, column = panel * s->panel;
    size_t channels = minimum(in - first, WINOGRAD_DEPTH), columns = minimum(out - column, s->panel);
    bool aligned = (uintptr_t)dw % VGG_ALIGNMENT_BYTES == 0 && out * sizeof *dw % VGG_ALIGNMENT_BYTES == 0;
    bool stream = aligned && columns == s->panel && TAPS * in * out * sizeof *dw >= STREAM_BYTES;
    for (size_t c = 0; c < channels; c++)
        s->shape.form->inverse_transform_filter(dw + (first + c) * out + column, in * out, sums + c * s->panel, s->sum_stride, columns,
                                      stream);
}

typedef struct {
    float *x;
    float *dy;
    float *sums;
} scatter_memory;

static void sum_wave(const scatter *s, vgg_range wave, const scatter_memory *memory, float *dw)
{
    bool last = wave.first + wave.count == s->shape.groups;
#pragma omp for schedule(guided)
    for (size_t unit = 0; unit < unit_count(s); unit++) {
        size_t panel = unit / s->x.blocks, block = unit % s->x.blocks;
        size_t channels = minimum(s->shape.in - block * WINOGRAD_DEPTH, WINOGRAD_DEPTH);
        float *sums = memory->sums + (s->keep_sums ? unit : (size_t)omp_get_thread_num()) * unit_floats(s);
        sum_products(s, wave, memory->x + block * s->x.block_stride, memory->dy + panel * s->dy.block_stride, channels, sums);
        if (last) collect_weights(s, block, panel, sums, dw);
        progress_poll();
    }
}

static void sum_dy(const conv_plan *plan, const conv_arguments *a, size_t pixels, vgg_range channels)
{
    if (plan->narrow) conv_sum_rows_bf16(a->dy16, (size_t)plan->problem.out, pixels, channels, a->db);
    else conv_sum_rows(a->dy, (size_t)plan->problem.out, pixels, channels, a->db);
}

static void run_weight_gradient(const conv_plan *plan, const conv_arguments *a)
{
    scatter s = scatter_of(plan, (size_t)a->n);
    const winograd_transforms *form = s.shape.form;
    scatter_memory memory = {.x = a->workspace};
    memory.dy = memory.x + winograd_layout_floats(&s.shape, &s.x);
    memory.sums = memory.dy + winograd_layout_floats(&s.shape, &s.dy);
    winograd_maps x = {a->x, plan->narrow, NULL, false, s.shape.in};
    winograd_maps dy = {a->dy, plan->narrow, a->chosen, plan->problem.pool, s.shape.out};
    size_t threads = (size_t)plan->problem.threads, pixels = (size_t)(a->n * plan->problem.side * plan->problem.side);
    if (dy.pooled) pixels /= 4;
#pragma omp parallel num_threads(plan->problem.threads)
    {
        for (size_t first = 0; first < s.shape.groups; first += s.shape.wave_groups) {
            vgg_range wave = winograd_l3_block(&s.shape, first);
            winograd_transform(&s.shape, &s.x, wave, &x, form->transform_input_over_tiles, form->margin, memory.x);
            winograd_transform(&s.shape, &s.dy, wave, &dy, form->transform_output_grad, 0, memory.dy);
            sum_wave(&s, wave, &memory, a->dw);
        }
        s.shape.kernels->finish_streams();
#pragma omp for schedule(static)
        for (size_t i = 0; i < threads; i++) sum_dy(plan, a, pixels, range_part(s.shape.out, threads, i));
    }
}

void winograd_plan_weight_grad(conv_plan *plan)
{
    scatter s = scatter_of(plan, (size_t)plan->problem.batch);
    size_t points = winograd_layout_floats(&s.shape, &s.x) + winograd_layout_floats(&s.shape, &s.dy);
    size_t units = s.keep_sums ? unit_count(&s) : (size_t)plan->problem.threads;
    if (units < (size_t)plan->problem.threads) units = (size_t)plan->problem.threads;
    plan->run = run_weight_gradient;
    plan->workspace_bytes = (points + units * unit_floats(&s)) * sizeof(float);
}

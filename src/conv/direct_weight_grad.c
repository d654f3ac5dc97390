/* Direct convolution and dense layers: the weight gradient.
 *
 * dw[tap] = copy of x (transposed) times dy over all pixels whose tap lies inside the map. A tile of dw is 14 input by 32
 * output channels, say; it stays in registers along a row of pixels of all images. dw is shared out among the threads, so
 * there is nothing to reduce, and each element is summed in one order.
 */
#include <omp.h>
#include <stdint.h>
#include <string.h>

#include "vgg11/conv/progress_poll.h"
#include "conv/direct.h"
#include "vgg11/conv/parts.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

/* Input channels at a time, so that their part of the copy stays in half of the L2 cache; a gradient larger than
 * STREAM_BYTES is stored past the caches, since it would not be there when it is wanted. */
enum { CHANNEL_BLOCK_BYTES = 512 * 1024, STREAM_BYTES = 4 * 1024 * 1024, BLOCK_PANELS = 4 };

typedef struct {
    const simd_kernels *kernels;
    int side, kernel;
    size_t taps, area;
    size_t in, out;
    size_t stride; /* of the copy's rows */
    size_t panels, panel;
    size_t channel_blocks; /* of input channels */
    size_t n;
    float *x;  /* [H][W][N][stride] */
    float *dy; /* [panels][H][W][N][panel] */
    float *dw;
    bool stream;
} weight_grad_pass;

static weight_grad_pass weight_grad_pass_of(const conv_plan *plan, size_t n, void *workspace)
{
    const conv_problem *p = &plan->problem;
    weight_grad_pass s = {.kernels = simd_kernels_select(), .side = p->side, .kernel = p->kernel, .n = n, .x = workspace};
    s.taps = (size_t)p->kernel * (size_t)p->kernel;
    s.area = (size_t)p->side * (size_t)p->side;
    s.in = (size_t)p->in;
    s.out = (size_t)p->out;
    s.stride = gemm_row_stride(s.in);
    s.panel = (size_t)s.kernels->panel;
    s.panels = gemm_panels(s.kernels, s.out);
    s.channel_blocks = (n * s.area * s.in * sizeof(float) + CHANNEL_BLOCK_BYTES - 1) / CHANNEL_BLOCK_BYTES;
    size_t tiles = (s.in + SIMD_ROWS_MAX - 1) / SIMD_ROWS_MAX;
    if (s.channel_blocks > tiles) s.channel_blocks = tiles;
    return s;
}

static size_t x_floats(const weight_grad_pass *s) { return s->n * s->area * s->stride; }

static size_t dy_floats(const weight_grad_pass *s) { return s->n * s->area * s->panels * s->panel; }

/* Every thread some of the images. */
static void copy_images(const weight_grad_pass *s, const conv_arguments *a)
{
#pragma omp for schedule(static) collapse(2)
    for (size_t position = 0; position < s->area; position++) {
        for (size_t i = 0; i < s->n; i++) {
            size_t pixel = i * s->area + position, row = position * s->n + i;
            s->kernels->copy(s->x + row * s->stride, a->x + pixel * s->in, s->in, false);
            for (size_t p = 0; p < s->panels; p++) {
                size_t left = s->out - p * s->panel, columns = left < s->panel ? left : s->panel;
                s->kernels->pack(s->dy + (p * s->area * s->n + row) * s->panel, a->dy + pixel * s->out + p * s->panel, s->out, 1,
                                 columns);
            }
        }
    }
}

/* One register tile: rows of input channels from `channel`, over every row of pixels. */
static void sum_tile(const weight_grad_pass *s, direct_window v, size_t panel, vgg_range channels, float *c, size_t c_stride)
{
    size_t side = (size_t)s->side, row_pixels = (size_t)v.column_count * s->n;
    gemm_tile tile = {.a_stride = s->stride, .c = c, .c_stride = c_stride, .depth = row_pixels, .stream = s->stream};
    for (int row = v.first_row; row < v.first_row + v.row_count; row++) {
        size_t to = (size_t)row * side + (size_t)v.first_column;
        size_t from = (size_t)(row + v.row_shift) * side + (size_t)(v.first_column + v.column_shift);
        tile.a = s->x + from * s->n * s->stride + channels.first;
        tile.b = s->dy + (panel * s->area + to) * s->n * s->panel;
        s->kernels->by_columns[channels.count](&tile);
        tile.accumulate = true;
    }
}

/* The last panel may be narrower than a tile: through a tile of its own. */
static void sum_part_of_tile(const weight_grad_pass *s, direct_window v, size_t panel, vgg_range channels, float *dw,
                             size_t columns)
{
    _Alignas(VGG_ALIGNMENT_BYTES) float whole[SIMD_ROWS_MAX * SIMD_PANEL_MAX];
    sum_tile(s, v, panel, channels, whole, s->panel);
    for (size_t m = 0; m < channels.count; m++) memcpy(dw + m * s->out, whole + m * s->panel, columns * sizeof *dw);
}

/* Panels side by side before the next input channels, so that dw is written in runs longer than a panel. */
static void sum_channel_block(const weight_grad_pass *s, direct_window v, size_t tap, vgg_range panels, vgg_range channel_block)
{
    size_t tiles = (channel_block.count + (size_t)s->kernels->rows - 1) / (size_t)s->kernels->rows;
    for (size_t i = 0; i < tiles; i++) {
        vgg_range channels = range_part(channel_block.count, tiles, i);
        channels.first += channel_block.first;
        for (size_t panel = panels.first; panel < panels.first + panels.count; panel++) {
            float *dw = s->dw + (tap * s->in + channels.first) * s->out + panel * s->panel;
            size_t left = s->out - panel * s->panel;
            if (left < s->panel)
                sum_part_of_tile(s, v, panel, channels, dw, left);
            else
                sum_tile(s, v, panel, channels, dw, s->out);
        }
    }
}

static size_t panel_blocks(const weight_grad_pass *s) { return (s->panels + BLOCK_PANELS - 1) / BLOCK_PANELS; }

/* A tap that lies outside everywhere (a map of one pixel) has gradient zero. */
static void sum_task(const weight_grad_pass *s, size_t task)
{
    size_t tap = task % s->taps, panel_block = task / s->taps % panel_blocks(s);
    progress_poll();
    vgg_range channel_block = range_part(s->in, s->channel_blocks, task / s->taps / panel_blocks(s));
    direct_window v = direct_window_at(s->side, s->kernel, (int)tap);
    if (v.row_count > 0 && v.column_count > 0)
        sum_channel_block(s, v, tap, range_part(s->panels, panel_blocks(s), panel_block), channel_block);
    else if (panel_block == 0)
        memset(s->dw + (tap * s->in + channel_block.first) * s->out, 0, channel_block.count * s->out * sizeof *s->dw);
}

/* Streaming stores need whole aligned lines, and one pass over each tile. */
static bool can_stream(const weight_grad_pass *s, const float *dw)
{
    bool aligned = (uintptr_t)dw % VGG_ALIGNMENT_BYTES == 0 && s->out * sizeof *dw % VGG_ALIGNMENT_BYTES == 0;
    return aligned && s->out % s->panel == 0 && s->side == 1 && s->in * s->out * sizeof *dw >= STREAM_BYTES;
}

static void run_weight_gradient(const conv_plan *plan, const conv_arguments *a)
{
    weight_grad_pass s = weight_grad_pass_of(plan, (size_t)a->n, a->workspace);
    s.dy = s.x + x_floats(&s);
    s.dw = a->dw;
    s.stream = can_stream(&s, a->dw);
    size_t threads = (size_t)plan->problem.threads;
#pragma omp parallel num_threads(plan->problem.threads)
    {
        copy_images(&s, a);
#pragma omp for schedule(guided) nowait
        for (size_t i = 0; i < s.channel_blocks * panel_blocks(&s) * s.taps; i++) sum_task(&s, i);
        s.kernels->finish_streams();
#pragma omp for schedule(static)
        for (size_t i = 0; i < threads; i++) conv_sum_rows(a->dy, s.out, s.n * s.area, range_part(s.out, threads, i), a->db);
    }
}

void direct_plan_weight_grad(conv_plan *plan)
{
    weight_grad_pass s = weight_grad_pass_of(plan, (size_t)plan->problem.batch, NULL);
    plan->run = run_weight_gradient;
    plan->workspace_bytes = (x_floats(&s) + dy_floats(&s)) * sizeof(float);
}

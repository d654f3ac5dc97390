/* Direct convolution and dense layers: the weight gradient.
 *
 * dw[tap] = x transposed times dy, summed over all pixels whose input under the tap lies inside the map. A gemm tile of dw (with
 * AVX-512, 14 input by 32 output channels) stays in registers along a row of pixels of all images. Threads share the tiles of dw,
 * so that nothing is reduced between them and each element is summed in a fixed order.
 */
#include <omp.h>
#include <stdint.h>
#include <string.h>

#include "vgg11/conv/progress_poll.h"
#include "conv/direct.h"
#include "vgg11/conv/parts.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/range.h"

/* A block of input channels is so large that its part of the copy stays in half of the L2 cache. A gradient of STREAM_BYTES or more
 * is stored past the caches: it would have been evicted before it is read. */
enum { CHANNEL_BLOCK_BYTES = 512 * 1024, STREAM_BYTES = 4 * 1024 * 1024, BLOCK_PANELS = 4 };

typedef struct {
    const simd_kernels *kernels;
    int side, kernel;
    size_t taps, area;
    size_t in, out;
    size_t stride; /* floats from row to row of the copy of x */
    size_t panels, panel;
    size_t channel_blocks; /* blocks of input channels */
    size_t n;
    float *x;  /* [H][W][N][stride] */
    float *dy; /* [panels][H][W][N][panel] */
    float *dw;
    bool stream; /* dw is stored past the caches */
} weight_grad_pass;

static weight_grad_pass weight_grad_pass_of(const conv_plan *plan, size_t n, void *workspace)
{
    const conv_problem *p = &plan->problem;
    weight_grad_pass pass = {.kernels = simd_kernels_select(), .side = p->side, .kernel = p->kernel, .n = n, .x = workspace};
    pass.taps = (size_t)p->kernel * (size_t)p->kernel;
    pass.area = (size_t)p->side * (size_t)p->side;
    pass.in = (size_t)p->in;
    pass.out = (size_t)p->out;
    pass.stride = gemm_row_stride(pass.in);
    pass.panel = (size_t)pass.kernels->panel;
    pass.panels = gemm_panels(pass.kernels, pass.out);
    size_t fitting_blocks = size_divide_up(n * pass.area * pass.in * sizeof(float), CHANNEL_BLOCK_BYTES);
    pass.channel_blocks = size_min(fitting_blocks, size_divide_up(pass.in, SIMD_ROWS_MAX));
    return pass;
}

static size_t x_floats(const weight_grad_pass *pass) { return pass->n * pass->area * pass->stride; }

static size_t dy_floats(const weight_grad_pass *pass) { return pass->n * pass->area * pass->panels * pass->panel; }

/* Copies x and packs dy; to be called by all threads, which share pixels and images. */
static void copy_images(const weight_grad_pass *pass, const conv_arguments *a)
{
#pragma omp for schedule(static) collapse(2)
    for (size_t position = 0; position < pass->area; position++) {
        for (size_t i = 0; i < pass->n; i++) {
            size_t pixel = i * pass->area + position, row = position * pass->n + i;
            pass->kernels->copy(pass->x + row * pass->stride, a->x + pixel * pass->in, pass->in, false);
            for (size_t p = 0; p < pass->panels; p++) {
                size_t columns = size_min(pass->out - p * pass->panel, pass->panel);
                pass->kernels->pack(pass->dy + (p * pass->area * pass->n + row) * pass->panel,
                                    a->dy + pixel * pass->out + p * pass->panel, pass->out, 1, columns);
            }
        }
    }
}

/* One gemm tile of dw, `channels` of x by a panel, summed over all rows of pixels of the tap's window. */
static void sum_tile(const weight_grad_pass *pass, direct_window v, size_t panel, vgg_range channels, float *c, size_t c_stride)
{
    size_t side = (size_t)pass->side, row_pixels = (size_t)v.column_count * pass->n;
    gemm_tile tile = {.a_stride = pass->stride, .c = c, .c_stride = c_stride, .depth = row_pixels, .stream = pass->stream};
    for (int row = v.first_row; row < v.first_row + v.row_count; row++) {
        size_t to = (size_t)row * side + (size_t)v.first_column;
        size_t from = (size_t)(row + v.row_shift) * side + (size_t)(v.first_column + v.column_shift);
        tile.a = pass->x + from * pass->n * pass->stride + channels.first;
        tile.b = pass->dy + (panel * pass->area + to) * pass->n * pass->panel;
        pass->kernels->by_columns[channels.count](&tile);
        tile.accumulate = true;
    }
}

/* The last panel may have fewer columns than a gemm tile writes: they are copied out of a whole tile. */
static void sum_part_of_tile(const weight_grad_pass *pass, direct_window v, size_t panel, vgg_range channels, float *dw,
                             size_t columns)
{
    _Alignas(VGG_ALIGNMENT_BYTES) float whole[SIMD_ROWS_MAX * SIMD_PANEL_MAX];
    sum_tile(pass, v, panel, channels, whole, pass->panel);
    for (size_t m = 0; m < channels.count; m++) memcpy(dw + m * pass->out, whole + m * pass->panel, columns * sizeof *dw);
}

/* All panels come before the next input channels, so that dw is written in stretches longer than a panel. */
static void sum_channel_block(const weight_grad_pass *pass, direct_window v, size_t tap, vgg_range panels, vgg_range channel_block)
{
    size_t tiles = size_divide_up(channel_block.count, (size_t)pass->kernels->rows);
    for (size_t i = 0; i < tiles; i++) {
        vgg_range channels = range_part(channel_block.count, tiles, i);
        channels.first += channel_block.first;
        for (size_t panel = panels.first; panel < panels.first + panels.count; panel++) {
            float *dw = pass->dw + (tap * pass->in + channels.first) * pass->out + panel * pass->panel;
            size_t left = pass->out - panel * pass->panel;
            if (left < pass->panel)
                sum_part_of_tile(pass, v, panel, channels, dw, left);
            else
                sum_tile(pass, v, panel, channels, dw, pass->out);
        }
    }
}

static size_t panel_blocks(const weight_grad_pass *pass) { return size_divide_up(pass->panels, BLOCK_PANELS); }

/* The gradient of a tap that never lies inside the map, as eight do on a map of one pixel, is zero. */
static void sum_task(const weight_grad_pass *pass, size_t task)
{
    size_t tap = task % pass->taps, panel_block = task / pass->taps % panel_blocks(pass);
    progress_poll();
    vgg_range channel_block = range_part(pass->in, pass->channel_blocks, task / pass->taps / panel_blocks(pass));
    direct_window v = direct_window_at(pass->side, pass->kernel, (int)tap);
    if (v.row_count > 0 && v.column_count > 0)
        sum_channel_block(pass, v, tap, range_part(pass->panels, panel_blocks(pass), panel_block), channel_block);
    else if (panel_block == 0)
        memset(pass->dw + (tap * pass->in + channel_block.first) * pass->out, 0,
               channel_block.count * pass->out * sizeof *pass->dw);
}

/* Streaming stores need whole, aligned cache lines, and tiles that are stored once: those of maps of one pixel. */
static bool can_stream(const weight_grad_pass *pass, const float *dw)
{
    bool aligned = (uintptr_t)dw % VGG_ALIGNMENT_BYTES == 0 && pass->out * sizeof *dw % VGG_ALIGNMENT_BYTES == 0;
    return aligned && pass->out % pass->panel == 0 && pass->side == 1 && pass->in * pass->out * sizeof *dw >= STREAM_BYTES;
}

static void run_weight_gradient(const conv_plan *plan, const conv_arguments *a)
{
    weight_grad_pass pass = weight_grad_pass_of(plan, (size_t)a->n, a->workspace);
    pass.dy = pass.x + x_floats(&pass);
    pass.dw = a->dw;
    pass.stream = can_stream(&pass, a->dw);
    size_t threads = (size_t)plan->problem.threads;
#pragma omp parallel num_threads(plan->problem.threads)
    {
        copy_images(&pass, a);
#pragma omp for schedule(guided) nowait
        for (size_t i = 0; i < pass.channel_blocks * panel_blocks(&pass) * pass.taps; i++) sum_task(&pass, i);
        pass.kernels->finish_streams();
#pragma omp for schedule(static)
        for (size_t i = 0; i < threads; i++)
            conv_sum_rows(a->dy, pass.out, pass.n * pass.area, range_part(pass.out, threads, i), a->db);
    }
}

void direct_plan_weight_grad(conv_plan *plan)
{
    weight_grad_pass pass = weight_grad_pass_of(plan, (size_t)plan->problem.batch, NULL);
    plan->run = run_weight_gradient;
    plan->workspace_bytes = (x_floats(&pass) + dy_floats(&pass)) * sizeof(float);
}

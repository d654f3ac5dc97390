/* 3x3 convolution as matrix products: im2col (Chellapilla, Puri & Simard, "High performance convolutional neural networks for
 * document processing", 2006), one tile of the unrolled matrix at a time, which a thread makes and multiplies by the BLAS.
 *
 * Row (n*H + h)*W + w of the unrolled matrix is pixel (n,h,w); its columns are the input channels under a window, a rectangle of
 * the kernel's taps. A tile is some rows under one window, and stays in the thread's cache:
 *   forward          y  = sum over windows of tile(x, window) w[window]
 *   input gradient   dx = sum over taps (r,s) of tile(dy, (2-r,2-s)) w[r,s] transposed
 *   weight gradient  dw[window] = sum over tiles of tile(x, window) transposed, times dy
 */
#include "vgg11/conv/conv.h"

#include <omp.h>
#include <string.h>

#include "vgg11/conv/progress_poll.h"
#include "vgg11/kernels/blas.h"
#include "vgg11/conv/parts.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/memory.h"

enum { TAPS = 3, TILE_FLOATS = 192 * 1024, FEWEST_ROWS = 128, MOST_ROWS = 1024 };

/* Taps r .. r+rows-1, s .. s+columns-1 of the kernel. */
typedef struct {
    int r, rows;
    int s, columns;
} tap_window;

static size_t window_taps(tap_window window) { return (size_t)window.rows * window.columns; }

static size_t window_offset(tap_window window) { return (size_t)window.r * TAPS + window.s; }

/* Window `index` when the kernel is cut into windows of 9 taps (all), 3 (a row) or 1. */
static tap_window window_at(int taps, int index)
{
    switch (taps) {
    case 9: return (tap_window){0, TAPS, 0, TAPS};
    case 3: return (tap_window){index, 1, 0, TAPS};
    default: return (tap_window){index / TAPS, 1, index % TAPS, 1};
    }
}

/* Writes the columns of one pixel's row under one row of the window: one copy, since neighbours in w are neighbours in memory. */
static void unroll_taps(const float *image_row, int side, size_t channels, int w, tap_window window, float *out)
{
    int first = w + window.s - 1, end = first + window.columns;
    int from = int_max(0, first), to = int_min(end, side);
    if (from >= to) from = to = first;
    size_t before = (size_t)(from - first) * channels, inside = (size_t)(to - from) * channels;
    memset(out, 0, before * sizeof *out);
    memcpy(out + before, image_row + (ptrdiff_t)from * (ptrdiff_t)channels, inside * sizeof *out);
    memset(out + before + inside, 0, (size_t)(end - to) * channels * sizeof *out);
}

/* tile[rows.count][window taps * channels] of the map x[N][side][side][channels]. */
static void unroll(const float *x, int side, size_t channels, vgg_range rows, tap_window window, float *tile)
{
    size_t area = (size_t)side * side, row_floats = (size_t)window.columns * channels;
    for (size_t row = rows.first; row < rows.first + rows.count; row++) {
        int h = (int)(row % area) / side, w = (int)(row % side);
        const float *image = x + row / area * area * channels;
        for (int r = 0; r < window.rows; r++, tile += row_floats) {
            int from_h = h + window.r + r - 1;
            if (from_h < 0 || from_h >= side)
                memset(tile, 0, row_floats * sizeof *tile);
            else
                unroll_taps(image + (size_t)from_h * side * channels, side, channels, w, window, tile);
        }
    }
}

/* How one pass cuts the unrolled matrix. */
typedef struct {
    size_t channels; /* of the map that is unrolled */
    size_t columns;  /* of the result */
    int window_taps;
    size_t tile_rows; /* most rows of a tile */
} unrolling;

/* Taps of a window. Large windows give each product long sums; small ones leave room for more rows in a tile. */
static int taps_for(conv_pass pass, size_t channels)
{
    static const size_t most_width[CONV_PASSES] = {768, 0, 256};
    if (9 * channels <= most_width[pass]) return 9;
    return 3 * channels <= 2 * most_width[pass] ? 3 : 1;
}

static unrolling unrolling_for(const conv_plan *plan)
{
    const conv_problem *p = &plan->problem;
    bool backward = plan->pass == CONV_INPUT_GRAD;
    unrolling c = {(size_t)(backward ? p->out : p->in), (size_t)(backward ? p->in : p->out), 0, 0};
    c.window_taps = taps_for(plan->pass, c.channels);
    size_t rows = TILE_FLOATS / ((size_t)c.window_taps * c.channels);
    c.tile_rows = size_max(FEWEST_ROWS, size_min(rows, MOST_ROWS));
    return c;
}

static size_t tile_floats(const unrolling *c)
{
    return vgg_round_up(c->tile_rows * (size_t)c->window_taps * c->channels, VGG_ALIGNMENT_BYTES / sizeof(float));
}

static float *own_tile(const unrolling *c, const conv_arguments *a)
{
    return (float *)a->workspace + (size_t)omp_get_thread_num() * tile_floats(c);
}

static size_t pixels(const conv_plan *plan, const conv_arguments *a)
{
    return (size_t)a->n * plan->problem.side * plan->problem.side;
}

/* One task of forward: a tile of rows by a block of columns of y. */
static void forward_task(const conv_plan *plan, const conv_arguments *a, const unrolling *c, vgg_range rows, vgg_range columns)
{
    float *tile = own_tile(c, a), *y = a->y + rows.first * c->columns + columns.first;
    size_t width = (size_t)c->window_taps * c->channels;
    for (int i = 0; i < 9 / c->window_taps; i++) {
        tap_window window = window_at(c->window_taps, i);
        const float *w = a->w + window_offset(window) * c->channels * c->columns + columns.first;
        unroll(a->x, plan->problem.side, c->channels, rows, window, tile);
        blas_multiply(rows.count, columns.count, width, (blas_matrix){tile, width, false}, (blas_matrix){w, c->columns, false},
                      i > 0, y, c->columns);
    }
    conv_add_bias(y, c->columns, rows.count, columns.count, a->b + columns.first, plan->problem.relu);
}

/* One task of the input gradient: a tile of rows by a block of columns of dx. */
static void input_gradient_task(const conv_plan *plan, const conv_arguments *a, const unrolling *c, vgg_range rows,
                                vgg_range columns)
{
    float *tile = own_tile(c, a), *dx = a->dx + rows.first * c->columns + columns.first;
    for (int i = 0; i < 9; i++) {
        const float *w = a->w + ((size_t)i * c->columns + columns.first) * c->channels;
        unroll(a->dy, plan->problem.side, c->channels, rows, window_at(1, 8 - i), tile);
        blas_multiply(rows.count, columns.count, c->channels, (blas_matrix){tile, c->channels, false},
                      (blas_matrix){w, c->channels, true}, i > 0, dx, c->columns);
    }
    progress_poll();
}

typedef void (*task_function)(const conv_plan *, const conv_arguments *, const unrolling *, vgg_range rows, vgg_range columns);

static void run_tasks(const conv_plan *plan, const conv_arguments *a, task_function run_task)
{
    unrolling c = unrolling_for(plan);
    size_t rows = pixels(plan, a);
    conv_grid grid = conv_divide(rows, FEWEST_ROWS, c.tile_rows, c.columns, (size_t)plan->problem.threads);
#pragma omp parallel for num_threads(plan->problem.threads) schedule(static) collapse(2)
    for (size_t i = 0; i < grid.row_tiles; i++) {
        for (size_t j = 0; j < grid.column_blocks; j++)
            run_task(plan, a, &c, range_part(rows, grid.row_tiles, i), conv_column_block(c.columns, grid.column_blocks, j));
    }
}

static void run_forward(const conv_plan *plan, const conv_arguments *a) { run_tasks(plan, a, forward_task); }

static void run_input_gradient(const conv_plan *plan, const conv_arguments *a) { run_tasks(plan, a, input_gradient_task); }

/* One task of the weight gradient: the rows of dw under one window by a block of columns, summed over all pixels, tile after
 * tile. */
static void weight_gradient_task(const conv_plan *plan, const conv_arguments *a, const unrolling *c, int index, vgg_range columns)
{
    tap_window window = window_at(c->window_taps, index);
    size_t width = window_taps(window) * c->channels, all = pixels(plan, a);
    float *tile = own_tile(c, a), *dw = a->dw + window_offset(window) * c->channels * c->columns + columns.first;
    for (size_t first = 0; first < all; first += c->tile_rows) {
        vgg_range rows = {first, size_min(all - first, c->tile_rows)};
        unroll(a->x, plan->problem.side, c->channels, rows, window, tile);
        blas_multiply(width, columns.count, rows.count, (blas_matrix){tile, width, true},
                      (blas_matrix){a->dy + first * c->columns + columns.first, c->columns, false}, first > 0, dw, c->columns);
        progress_poll();
    }
    if (index == 0) conv_sum_rows(a->dy, c->columns, all, columns, a->db);
}

static void run_weight_gradient(const conv_plan *plan, const conv_arguments *a)
{
    unrolling c = unrolling_for(plan);
    size_t windows = 9 / (size_t)c.window_taps;
    conv_grid grid = conv_divide(windows, windows + 1, 1, c.columns, (size_t)plan->problem.threads);
#pragma omp parallel for num_threads(plan->problem.threads) schedule(static) collapse(2)
    for (size_t i = 0; i < windows; i++) {
        for (size_t j = 0; j < grid.column_blocks; j++)
            weight_gradient_task(plan, a, &c, (int)i, conv_column_block(c.columns, grid.column_blocks, j));
    }
}

static vgg_status plan_im2col(conv_plan *plan)
{
    static void (*const runs[CONV_PASSES])(const conv_plan *, const conv_arguments *) = {run_forward, run_input_gradient,
                                                                                         run_weight_gradient};
    if (plan->problem.kernel != TAPS) return vgg_fail(VGG_DECLINED, "unrolls 3x3 kernels only");
    VGG_TRY(blas_open());
    unrolling c = unrolling_for(plan);
    plan->run = runs[plan->pass];
    plan->workspace_bytes = (size_t)plan->problem.threads * tile_floats(&c) * sizeof(float);
    return VGG_OK;
}

/* With the padding: the unrolled map has it as zeros. */
static double multiply_adds(const conv_problem *problem, conv_pass pass, int images)
{
    (void)pass;
    return (double)images * problem->side * problem->side * TAPS * TAPS * problem->in * problem->out;
}

const conv_algorithm conv_im2col = {
    .name = "im2col",
    .good_when = "any 3x3 convolution on any processor: unrolled tile by tile, multiplied by OpenBLAS",
    .precision = PRECISION_FP32,
    .tolerance = {1e-5f, 1e-5f, 1e-5f},
    .plan = plan_im2col,
    .multiply_adds = multiply_adds,
};

/* The first layer: a 3x3 convolution of one channel. The nine pixels under the kernel and a constant 1 for the bias make a row of
 * ten terms (im2col). Forward is one product of such rows with ten rows of weights, and the weight gradient is the product of their
 * transpose with dy. A block of two rows of pixels at a time stays in the L1 cache, since the time goes into reading dy and writing
 * y. */
#include <omp.h>
#include <string.h>

#include "vgg11/kernels/gemm.h"
#include "vgg11/base/integers.h"
#include "vgg11/base/memory.h"
#include "vgg11/conv/conv.h"

/* A row takes WINDOW floats, of which TERMS are used: nine pixels and the constant 1. */
enum { TAPS = 9, TERMS = 10, WINDOW = 16 };

typedef struct {
    const simd_kernels *kernels;
    size_t side, area, out;
    size_t block_pixels; /* two rows of pixels, so that a block holds whole pooling windows */
    size_t panel, panels;
    size_t padded_floats; /* of an image with its border of zeros */
    size_t packed_floats; /* of TERMS rows of weights, or of sums, for all panels */
} frame;

/* One thread's part of the workspace. */
typedef struct {
    float *padded;  /* an image with its border of zeros */
    float *windows; /* [block_pixels][WINDOW] */
    float *block;   /* [panels][block_pixels][panel]: y before the ReLU, or dy packed */
} block_memory;

static frame frame_of(const conv_problem *p)
{
    frame f = {.kernels = simd_kernels_select(), .side = (size_t)p->side, .out = (size_t)p->out};
    f.area = f.side * f.side;
    f.block_pixels = 2 * f.side;
    f.panel = (size_t)f.kernels->panel;
    f.panels = gemm_panels(f.kernels, f.out);
    f.padded_floats = vgg_round_up((f.side + 2) * (f.side + 2), WINDOW);
    f.packed_floats = TERMS * f.panels * f.panel;
    return f;
}

static size_t own_floats(const frame *f) { return f->padded_floats + f->block_pixels * (WINDOW + f->panels * f->panel); }

static block_memory memory_of(const frame *f, float *first)
{
    block_memory memory = {.padded = first + (size_t)omp_get_thread_num() * own_floats(f)};
    memory.windows = memory.padded + f->padded_floats;
    memory.block = memory.windows + f->block_pixels * WINDOW;
    return memory;
}

static void pad_image(const frame *f, const float *image, float *padded)
{
    memset(padded, 0, f->padded_floats * sizeof *padded);
    for (size_t h = 0; h < f->side; h++)
        memcpy(padded + (h + 1) * (f->side + 2) + 1, image + h * f->side, f->side * sizeof *padded);
}

/* The rows of pixels first .. first+count-1 of the image. */
static void fill_windows(const frame *f, const float *padded, size_t first, size_t count, float *windows)
{
    for (size_t i = 0; i < count; i++) {
        size_t h = (first + i) / f->side, w = (first + i) % f->side;
        const float *corner = padded + h * (f->side + 2) + w;
        for (size_t r = 0; r < 3; r++) memcpy(windows + i * WINDOW + 3 * r, corner + r * (f->side + 2), 3 * sizeof *windows);
        windows[i * WINDOW + TAPS] = 1.0f;
    }
}

static size_t panel_columns(const frame *f, size_t panel) { return size_min(f->out - panel * f->panel, f->panel); }

static void multiply_block(const frame *f, const float *packed, const block_memory *memory, size_t count)
{
    for (size_t p = 0; p < f->panels; p++) {
        float *block = memory->block + p * f->block_pixels * f->panel;
        gemm_tile tile = {.a = memory->windows,
                          .a_stride = WINDOW,
                          .b = packed + p * TERMS * f->panel,
                          .c = block,
                          .c_stride = f->panel,
                          .depth = TERMS};
        gemm_by_rows(f->kernels, &tile, count, NULL, 0);
    }
}

static void store_block(const frame *f, const block_memory *memory, size_t count, bool relu, float *y)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t p = 0; p < f->panels; p++)
            f->kernels->copy(y + i * f->out + p * f->panel, memory->block + (p * f->block_pixels + i) * f->panel,
                             panel_columns(f, p), relu);
    }
}

/* The upper left pixel of pooling window `i` of a block, in one panel. */
static float *window_at(const frame *f, const block_memory *memory, size_t panel, size_t i)
{
    return memory->block + (panel * f->block_pixels + 2 * i) * f->panel;
}

static void pool_block(const frame *f, const block_memory *memory, bool relu, float *y, uint8_t *pool_argmax)
{
    size_t row = f->side * f->panel;
    for (size_t i = 0; i < f->side / 2; i++) {
        for (size_t p = 0; p < f->panels; p++) {
            const float *first = window_at(f, memory, p, i);
            const float *const window[4] = {first, first + f->panel, first + row, first + row + f->panel};
            size_t to = i * f->out + p * f->panel;
            f->kernels->pool(y + to, pool_argmax ? pool_argmax + to : NULL, window, panel_columns(f, p), relu);
        }
    }
}

static void run_forward(const conv_plan *plan, const conv_arguments *a)
{
    frame f = frame_of(&plan->problem);
    float *packed = a->workspace;
    for (size_t p = 0; p < f.panels; p++) {
        float *panel = packed + p * TERMS * f.panel;
        f.kernels->pack(panel, a->w + p * f.panel, f.out, TAPS, panel_columns(&f, p));
        f.kernels->pack(panel + TAPS * f.panel, a->b + p * f.panel, f.out, 1, panel_columns(&f, p));
    }
#pragma omp parallel for num_threads(plan->problem.threads) schedule(static)
    for (size_t n = 0; n < (size_t)a->n; n++) {
        block_memory memory = memory_of(&f, packed + f.packed_floats);
        pad_image(&f, a->x + n * f.area, memory.padded);
        for (size_t first = 0; first < f.area; first += f.block_pixels) {
            size_t count = size_min(f.area - first, f.block_pixels), to = (n * f.area + first) * f.out;
            fill_windows(&f, memory.padded, first, count, memory.windows);
            multiply_block(&f, packed, &memory, count);
            if (plan->problem.pool)
                pool_block(&f, &memory, plan->problem.relu, a->y + to / 4, a->pool_argmax ? a->pool_argmax + to / 4 : NULL);
            else
                store_block(&f, &memory, count, plan->problem.relu, a->y + to);
        }
    }
}

static void load_block(const frame *f, const float *dy, size_t count, const block_memory *memory)
{
    for (size_t p = 0; p < f->panels; p++)
        f->kernels->pack(memory->block + p * f->block_pixels * f->panel, dy + p * f->panel, f->out, count, panel_columns(f, p));
}

static void unpool_block(const frame *f, const float *dy, const uint8_t *pool_argmax, const block_memory *memory)
{
    size_t row = f->side * f->panel;
    for (size_t i = 0; i < f->side / 2; i++) {
        for (size_t p = 0; p < f->panels; p++) {
            float *first = window_at(f, memory, p, i);
            float *const window[4] = {first, first + f->panel, first + row, first + row + f->panel};
            size_t from = i * f->out + p * f->panel;
            f->kernels->unpool(window, dy + from, pool_argmax + from, panel_columns(f, p));
        }
    }
}

static void add_block(const frame *f, const block_memory *memory, size_t count, bool first, float *sums)
{
    for (size_t p = 0; p < f->panels; p++) {
        gemm_tile tile = {.a = memory->windows,
                          .a_stride = WINDOW,
                          .b = memory->block + p * f->block_pixels * f->panel,
                          .c = sums + p * TERMS * f->panel,
                          .c_stride = f->panel,
                          .depth = count,
                          .accumulate = !first};
        gemm_by_columns(f->kernels, &tile, TERMS);
    }
}

/* dw and db are the sums over images of each image's sums, added in the order of the images. */
static void add_images(const frame *f, const float *sums, size_t n, float *dw, float *db)
{
    for (size_t term = 0; term < TERMS; term++) {
        float *to = term < TAPS ? dw + term * f->out : db;
        for (size_t k = 0; k < f->out; k++) {
            const float *from = sums + (k / f->panel * TERMS + term) * f->panel + k % f->panel;
            float total = 0;
            for (size_t i = 0; i < n; i++) total += from[i * f->packed_floats];
            to[k] = total;
        }
    }
}

/* Threads share the images. Each image has sums of its own, so that no sum's order depends on the number of threads. */
static void run_weight_gradient(const conv_plan *plan, const conv_arguments *a)
{
    frame f = frame_of(&plan->problem);
    float *sums = a->workspace;
#pragma omp parallel for num_threads(plan->problem.threads) schedule(static)
    for (size_t n = 0; n < (size_t)a->n; n++) {
        block_memory memory = memory_of(&f, sums + (size_t)plan->problem.batch * f.packed_floats);
        pad_image(&f, a->x + n * f.area, memory.padded);
        for (size_t first = 0; first < f.area; first += f.block_pixels) {
            size_t count = size_min(f.area - first, f.block_pixels), from = (n * f.area + first) * f.out;
            fill_windows(&f, memory.padded, first, count, memory.windows);
            if (plan->problem.pool)
                unpool_block(&f, a->dy + from / 4, a->pool_argmax + from / 4, &memory);
            else
                load_block(&f, a->dy + from, count, &memory);
            add_block(&f, &memory, count, first == 0, sums + n * f.packed_floats);
        }
    }
    add_images(&f, sums, (size_t)a->n, a->dw, a->db);
}

static vgg_status plan_direct_1ch(conv_plan *plan)
{
    static void (*const runs[CONV_PASSES])(const conv_plan *, const conv_arguments *) = {
        [CONV_FORWARD] = run_forward, [CONV_WEIGHT_GRAD] = run_weight_gradient};
    const conv_problem *p = &plan->problem;
    if (p->kernel != 3 || p->in != 1) return vgg_fail(VGG_DECLINED, "does 3x3 kernels on one input channel only");
    if (!runs[plan->pass]) return vgg_fail(VGG_DECLINED, "has no input gradient: the first layer needs none");
    frame f = frame_of(p);
    size_t packed = plan->pass == CONV_FORWARD ? 1 : (size_t)p->batch;
    plan->run = runs[plan->pass];
    plan->flags |= CONV_FUSES_POOL;
    plan->workspace_bytes = (packed * f.packed_floats + (size_t)p->threads * own_floats(&f)) * sizeof(float);
    return VGG_OK;
}

const conv_algorithm conv_direct_1ch = {
    .name = "direct-1ch",
    .former_name = "direct_1ch",
    .good_when = "the first layer: one input channel, whose weights stay in the L1 cache",
    .precision = PRECISION_FP32,
    .tolerance = {1e-5f, 1e-5f, 1e-5f},
    .plan = plan_direct_1ch,
};

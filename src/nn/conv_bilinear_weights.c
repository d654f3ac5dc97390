/* Weight gradient by a bilinear algorithm: dw = collected from sum over tiles of (points of x) transposed (points of dy), one
 * matrix product per point. A unit of work, a block of input by a panel of output channels, is summed over all tiles in the
 * L2 cache and then collected, so nothing is reduced between threads. */
#include <omp.h>

#include "nn/conv_bilinear.h"
#include "nn/conv_parts.h"

enum { LINE_FLOATS = 16 };

typedef struct {
    bilinear_shape shape;
    bilinear_layout x;
    bilinear_layout dy;
    size_t panel;
    size_t sum_stride; /* of [point][channel of block][panel] */
} scatter;

static scatter scatter_of(const conv_plan *plan, size_t n)
{
    scatter s = {.shape = bilinear_shape_of(plan, n)};
    s.panel = (size_t)s.shape.kernels->panel;
    s.x = bilinear_layout_of(&s.shape, s.shape.in, BILINEAR_DEPTH);
    s.dy = bilinear_layout_of(&s.shape, s.shape.out, s.panel);
    s.sum_stride = BILINEAR_DEPTH * s.panel + LINE_FLOATS;
    return s;
}

static size_t own_floats(const scatter *s) { return (size_t)s->shape.form->points * s->sum_stride; }

static size_t minimum(size_t a, size_t b) { return a < b ? a : b; }

static void sum_products(const scatter *s, const float *x, const float *dy, size_t channels, float *sums)
{
    for (size_t group = 0; group < s->shape.groups; group++) {
        for (size_t p = 0; p < (size_t)s->shape.form->points; p++) {
            simd_tile tile = {.a = x + group * s->x.group_stride + p * s->x.point_stride,
                              .a_stride = BILINEAR_DEPTH,
                              .b = dy + group * s->dy.group_stride + p * s->dy.point_stride,
                              .c = sums + p * s->sum_stride,
                              .c_stride = s->panel,
                              .depth = bilinear_group(&s->shape, group).count,
                              .accumulate = group > 0};
            simd_product_by_columns(s->shape.kernels, &tile, channels);
        }
    }
}

static void collect_weights(const scatter *s, size_t block, size_t panel, const float *sums, float *dw)
{
    size_t in = s->shape.in, out = s->shape.out, first = block * BILINEAR_DEPTH, column = panel * s->panel;
    size_t channels = minimum(in - first, BILINEAR_DEPTH), columns = minimum(out - column, s->panel);
    for (size_t c = 0; c < channels; c++)
        s->shape.form->collect_kernel(dw + (first + c) * out + column, in * out, sums + c * s->panel, s->sum_stride,
                                      columns);
}

static void run_weight_gradient(const conv_plan *plan, const conv_arguments *a)
{
    scatter s = scatter_of(plan, (size_t)a->n);
    const simd_bilinear *form = s.shape.form;
    float *x = a->workspace;
    float *dy = x + bilinear_layout_floats(&s.shape, &s.x);
    float *sums = dy + bilinear_layout_floats(&s.shape, &s.dy);
    size_t threads = (size_t)plan->problem.threads, pixels = (size_t)(a->n * plan->problem.side * plan->problem.side);
#pragma omp parallel num_threads(plan->problem.threads)
    {
        float *own = sums + (size_t)omp_get_thread_num() * own_floats(&s);
        bilinear_spread(&s.shape, &s.x, a->x, form->spread_input, form->margin, x);
        bilinear_spread(&s.shape, &s.dy, a->dy, form->spread_output, 0, dy);
#pragma omp for schedule(static) collapse(2) nowait
        for (size_t panel = 0; panel < s.dy.blocks; panel++) {
            for (size_t block = 0; block < s.x.blocks; block++) {
                size_t channels = minimum(s.shape.in - block * BILINEAR_DEPTH, BILINEAR_DEPTH);
                sum_products(&s, x + block * s.x.block_stride, dy + panel * s.dy.block_stride, channels, own);
                collect_weights(&s, block, panel, own, a->dw);
            }
        }
#pragma omp for schedule(static)
        for (size_t i = 0; i < threads; i++)
            conv_sum_rows(a->dy, s.shape.out, pixels, range_part(s.shape.out, threads, i), a->db);
    }
}

void bilinear_plan_weight_gradient(conv_plan *plan)
{
    scatter s = scatter_of(plan, (size_t)plan->problem.batch);
    size_t points = bilinear_layout_floats(&s.shape, &s.x) + bilinear_layout_floats(&s.shape, &s.dy);
    plan->run = run_weight_gradient;
    plan->workspace_bytes = (points + (size_t)plan->problem.threads * own_floats(&s)) * sizeof(float);
}

/* The reference: the definitions of conv.h written out, with sums in double precision. It is slow, and accepts every problem. */
#include "vgg11/conv/conv.h"

#include <omp.h>
#include <string.h>

typedef struct {
    const conv_problem *problem;
    int reach; /* pixels from the centre of the kernel to its edge: 1, or 0 for a dense layer */
    size_t in;
    size_t out;
} frame;

static frame frame_of(const conv_plan *plan)
{
    const conv_problem *problem = &plan->problem;
    return (frame){problem, problem->kernel / 2, (size_t)problem->in, (size_t)problem->out};
}

static bool inside(const frame *f, int h, int w) { return h >= 0 && h < f->problem->side && w >= 0 && w < f->problem->side; }

static size_t pixel(const frame *f, int n, int h, int w) { return ((size_t)n * f->problem->side + h) * f->problem->side + w; }

static const float *tap(const frame *f, const float *weights, int r, int s)
{
    return weights + ((size_t)r * f->problem->kernel + s) * f->in * f->out;
}

/* This thread's f->out doubles of the workspace. */
static double *own_sums(const frame *f, const conv_arguments *a)
{
    return (double *)a->workspace + (size_t)omp_get_thread_num() * f->out;
}

/* total[K] = y of one pixel, before the ReLU. */
static void sum_forward(const frame *f, const conv_arguments *a, int n, int h, int w, double *total)
{
    for (size_t k = 0; k < f->out; k++) total[k] = a->b[k];
    for (int r = 0; r < f->problem->kernel; r++) {
        for (int s = 0; s < f->problem->kernel; s++) {
            int from_h = h + r - f->reach, from_w = w + s - f->reach;
            if (!inside(f, from_h, from_w)) continue;
            const float *x = a->x + pixel(f, n, from_h, from_w) * f->in, *kernel = tap(f, a->w, r, s);
            for (size_t c = 0; c < f->in; c++) {
                for (size_t k = 0; k < f->out; k++) total[k] += (double)x[c] * kernel[c * f->out + k];
            }
        }
    }
}

static void run_forward(const conv_plan *plan, const conv_arguments *a)
{
    frame f = frame_of(plan);
    bool relu = plan->problem.relu;
    int side = plan->problem.side;
#pragma omp parallel for num_threads(plan->problem.threads) collapse(3) schedule(static)
    for (int n = 0; n < a->n; n++) {
        for (int h = 0; h < side; h++) {
            for (int w = 0; w < side; w++) {
                size_t at = pixel(&f, n, h, w);
                double *total = own_sums(&f, a);
                sum_forward(&f, a, n, h, w, total);
                for (size_t k = 0; k < f.out; k++) a->y[at * f.out + k] = (float)(relu && total[k] < 0 ? 0 : total[k]);
            }
        }
    }
}

/* dx of one pixel and channel. */
static double sum_input_gradient(const frame *f, const conv_arguments *a, int n, int h, int w, size_t c)
{
    double total = 0;
    for (int r = 0; r < f->problem->kernel; r++) {
        for (int s = 0; s < f->problem->kernel; s++) {
            int from_h = h - r + f->reach, from_w = w - s + f->reach;
            if (!inside(f, from_h, from_w)) continue;
            const float *dy = a->dy + pixel(f, n, from_h, from_w) * f->out, *kernel = tap(f, a->w, r, s) + c * f->out;
            for (size_t k = 0; k < f->out; k++) total += (double)dy[k] * kernel[k];
        }
    }
    return total;
}

static void run_input_gradient(const conv_plan *plan, const conv_arguments *a)
{
    frame f = frame_of(plan);
    int side = plan->problem.side;
#pragma omp parallel for num_threads(plan->problem.threads) collapse(3) schedule(static)
    for (int n = 0; n < a->n; n++) {
        for (int h = 0; h < side; h++) {
            for (int w = 0; w < side; w++) {
                float *dx = a->dx + pixel(&f, n, h, w) * f.in;
                for (size_t c = 0; c < f.in; c++) dx[c] = (float)sum_input_gradient(&f, a, n, h, w, c);
            }
        }
    }
}

/* total[K] = dw of tap (r, s) and input channel c. */
static void sum_weight_gradient(const frame *f, const conv_arguments *a, int r, int s, size_t c, double *total)
{
    int side = f->problem->side;
    memset(total, 0, f->out * sizeof *total);
    for (int n = 0; n < a->n; n++) {
        for (int h = 0; h < side; h++) {
            for (int w = 0; w < side; w++) {
                int from_h = h + r - f->reach, from_w = w + s - f->reach;
                if (!inside(f, from_h, from_w)) continue;
                double x = a->x[pixel(f, n, from_h, from_w) * f->in + c];
                const float *dy = a->dy + pixel(f, n, h, w) * f->out;
                for (size_t k = 0; k < f->out; k++) total[k] += x * dy[k];
            }
        }
    }
}

static void run_weight_gradient(const conv_plan *plan, const conv_arguments *a)
{
    frame f = frame_of(plan);
    size_t kernel = (size_t)plan->problem.kernel, rows = kernel * kernel * f.in;
    size_t pixels = pixel(&f, a->n, 0, 0);
#pragma omp parallel num_threads(plan->problem.threads)
    {
#pragma omp for schedule(static)
        for (size_t row = 0; row < rows; row++) {
            double *total = own_sums(&f, a);
            int position = (int)(row / f.in);
            sum_weight_gradient(&f, a, position / (int)kernel, position % (int)kernel, row % f.in, total);
            for (size_t k = 0; k < f.out; k++) a->dw[row * f.out + k] = (float)total[k];
        }
#pragma omp for schedule(static)
        for (size_t k = 0; k < f.out; k++) {
            double total = 0;
            for (size_t p = 0; p < pixels; p++) total += a->dy[p * f.out + k];
            a->db[k] = (float)total;
        }
    }
}

static vgg_status plan_reference(conv_plan *plan)
{
    static void (*const runs[CONV_PASSES])(const conv_plan *, const conv_arguments *) = {run_forward, run_input_gradient,
                                                                                         run_weight_gradient};
    plan->run = runs[plan->pass];
    plan->workspace_bytes = (size_t)plan->problem.threads * plan->problem.out * sizeof(double);
    return VGG_OK;
}

const conv_algorithm conv_reference = {
    .name = "reference",
    .good_when = "checking the others: plain loops, sums in double",
    .precision = PRECISION_FP32,
    .tolerance = {0, 0, 0},
    .plan = plan_reference,
};

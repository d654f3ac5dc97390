/* Dense layers as plain matrix products: y = x w, dx = dy w', dw = x' dy. A task is a block of the result's columns, or of dw's
 * rows, so that every weight is read or written by one thread only. */
#include "vgg11/kernels/blas.h"
#include "vgg11/conv/parts.h"
#include "vgg11/conv/conv.h"

static size_t blocks_for(const conv_plan *plan, size_t columns)
{
    return conv_divide(1, 2, 1, columns, (size_t)plan->problem.threads).column_blocks;
}

static void run_forward(const conv_plan *plan, const conv_arguments *a)
{
    size_t n = (size_t)a->n, in = (size_t)plan->problem.in, out = (size_t)plan->problem.out;
    size_t blocks = blocks_for(plan, out);
#pragma omp parallel for num_threads(plan->problem.threads) schedule(static)
    for (size_t i = 0; i < blocks; i++) {
        vgg_range part = conv_column_block(out, blocks, i);
        blas_multiply(n, part.count, in, (blas_matrix){a->x, in, false}, (blas_matrix){a->w + part.first, out, false}, false,
                      a->y + part.first, out);
        conv_add_bias(a->y + part.first, out, n, part.count, a->b + part.first, plan->problem.relu);
    }
}

static void run_input_gradient(const conv_plan *plan, const conv_arguments *a)
{
    size_t n = (size_t)a->n, in = (size_t)plan->problem.in, out = (size_t)plan->problem.out;
    size_t blocks = blocks_for(plan, in);
#pragma omp parallel for num_threads(plan->problem.threads) schedule(static)
    for (size_t i = 0; i < blocks; i++) {
        vgg_range part = conv_column_block(in, blocks, i);
        blas_multiply(n, part.count, out, (blas_matrix){a->dy, out, false}, (blas_matrix){a->w + part.first * out, out, true},
                      false, a->dx + part.first, in);
    }
}

static void run_weight_gradient(const conv_plan *plan, const conv_arguments *a)
{
    size_t n = (size_t)a->n, in = (size_t)plan->problem.in, out = (size_t)plan->problem.out;
    size_t blocks = blocks_for(plan, in);
#pragma omp parallel num_threads(plan->problem.threads)
    {
#pragma omp for schedule(static) nowait
        for (size_t i = 0; i < blocks; i++) {
            vgg_range part = conv_column_block(in, blocks, i);
            blas_multiply(part.count, out, n, (blas_matrix){a->x + part.first, in, true}, (blas_matrix){a->dy, out, false}, false,
                          a->dw + part.first * out, out);
        }
#pragma omp for schedule(static)
        for (size_t i = 0; i < blocks_for(plan, out); i++)
            conv_sum_rows(a->dy, out, n, conv_column_block(out, blocks_for(plan, out), i), a->db);
    }
}

static vgg_status plan_dense(conv_plan *plan)
{
    static void (*const runs[CONV_PASSES])(const conv_plan *, const conv_arguments *) = {run_forward, run_input_gradient,
                                                                                         run_weight_gradient};
    if (plan->problem.kernel != 1 || plan->problem.side != 1) return vgg_fail(VGG_DECLINED, "multiplies dense layers only");
    VGG_TRY(blas_open());
    plan->run = runs[plan->pass];
    return VGG_OK;
}

const conv_algorithm conv_blas = {
    .name = "blas",
    .former_name = "dense_blas",
    .good_when = "any dense layer on any processor: plain OpenBLAS products",
    .precision = PRECISION_FP32,
    .tolerance = {1e-5f, 1e-5f, 1e-5f},
    .plan = plan_dense,
};

/* Convolution and dense layers: the interface of an algorithm, and the table of all algorithms ("rows").
 *
 * A problem is a 3x3 convolution (stride 1, one pixel of zero padding, NHWC and HWIO), or a dense layer, which is the 1x1
 * convolution of a 1x1 image: kernel == 1, side == 1, w[C][K]. An algorithm declines the problems that it does not handle.
 * Dimension letters here and in every algorithm: N images, H = W = side, C input channels, K output channels, x[N][H][W][C],
 * w[3][3][C][K], b[K], y[N][H][W][K]; dx, dw, db, dy are gradients of the same shapes.
 *   forward           y[n,h,w,k]  = relu(b[k] + sum_{r,s,c} x[n,h+r-1,w+s-1,c] w[r,s,c,k])
 *   input gradient    dx[n,h,w,c] = sum_{r,s,k} dy[n,h-r+1,w-s+1,k] w[r,s,c,k]
 *   weight gradient   dw[r,s,c,k] = sum_{n,h,w} x[n,h+r-1,w+s-1,c] dy[n,h,w,k],  db[k] = sum_{n,h,w} dy[n,h,w,k]
 * This is Keras' and PyTorch's "same" convolution, that is a cross-correlation: the kernel is not flipped. Maps may lie in memory
 * as bfloat16 (problem.bf16_x: x and dx, problem.bf16_y: y and dy); weights and their gradients are fp32. Where pooling follows
 * (problem.pool), y and dy are the pooled map and its gradient, [N][H/2][W/2][K], and pool_argmax[N][H/2][W/2][K] says which pixel
 * of its 2x2 window each value came from. Where x is the output of a ReLU (problem.input_is_relu), dx is 0 wherever x <= 0. Some
 * algorithms do all this while their results are in the cache; for the others conv_plan_run() does it in further passes over
 * memory. An algorithm is one file with one exported conv_algorithm, and one row in src/conv/registry.c.
 */
#ifndef VGG11_CONV_CONV_H
#define VGG11_CONV_CONV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/precision.h"
#include "vgg11/base/status.h"

typedef enum { CONV_FORWARD, CONV_INPUT_GRAD, CONV_WEIGHT_GRAD, CONV_PASSES } conv_pass;

/* "forward", "input gradient", "weight gradient" */
extern const char *const conv_pass_names[CONV_PASSES];

typedef struct {
    int kernel;              /* 3, or 1 for a dense layer */
    int side;                /* height and width of the map */
    int in;                  /* input channels */
    int out;                 /* output channels */
    int batch;               /* most images per call */
    int threads;             /* OpenMP threads of a call */
    bool relu;               /* forward applies a ReLU after the bias */
    bool pool;               /* after bias and ReLU, 2x2 maximum pooling with stride 2; side is even */
    bool input_is_relu;      /* x is the output of a ReLU: the input gradient includes the ReLU's own gradient */
    vgg_precision precision; /* least precision of the products' operands */
    bool bf16_x;             /* x and dx lie in memory as bfloat16 */
    bool bf16_y;             /* y and dy lie in memory as bfloat16 */
} conv_problem;

typedef struct conv_plan conv_plan;

/* Arrays of one call; all belong to the caller. They are 64-byte aligned, and those that are read do not overlap those that are
 * written. Of each union the first member is for fp32 maps and the second for bfloat16. */
typedef struct {
    union {
        const float *x; /* forward, weight gradient; input gradient if problem.input_is_relu */
        const uint16_t *x16;
    };
    const float *w; /* forward, input gradient: HWIO, the weights that were last given to prepare() */
    const float *b; /* forward */
    union {
        float *y; /* forward */
        uint16_t *y16;
    };
    union {
        const float *dy; /* both gradients */
        const uint16_t *dy16;
    };
    union {
        float *dx; /* input gradient; overwritten */
        uint16_t *dx16;
    };
    uint8_t *pool_argmax; /* if problem.pool, 2 * row + column in the window; written by forward unless NULL, read by gradients */
    float *dw;            /* weight gradient; overwritten */
    float *db;            /* weight gradient; overwritten */
    int n;                /* images in this call, 1 <= n <= problem.batch */
    void *workspace;      /* plan->workspace_bytes, 64-byte aligned, contents undefined before and after */
} conv_arguments;

typedef struct {
    const char *name;         /* algorithm[-precision][-instruction set] */
    const char *former_name;  /* the name in earlier versions, accepted in options and old checkpoints; or NULL */
    const char *good_when;    /* for --help: where this algorithm is a good choice */
    vgg_precision precision;  /* of the products' operands */
    bool transforms_operands; /* it multiplies transforms of the operands (Winograd), not the operands themselves */
    /* Largest error allowed against the reference in each pass, relative to the largest |value| of the reference (or, where the
     * terms of a sum cancel, to the square root of their number times their size). */
    float tolerance[CONV_PASSES];
    /* Whether this row should be the fastest of its precision for `problem` on this processor: it is then tried before the others,
     * which come in the table's order. NULL: never. */
    bool (*expected)(const conv_problem *problem, conv_pass pass);
    /* Fills plan->run and what else is needed for plan->problem and plan->pass, or returns vgg_fail(VGG_DECLINED, reason). All
     * memory that outlives the call is plan->packed (which the planner allocates, zeroed, packed_bytes long) and plan->state, which
     * plan->close frees; after a failure neither is left. plan->run applies problem.relu always; pooling, the ReLU's gradient and
     * bfloat16 maps only if plan->flags say so. */
    vgg_status (*plan)(conv_plan *plan);
    /* Multiply-adds of a pass over `images` images, where the row makes more or fewer of them than the direct convolution without products
     * with the padding; else NULL. */
    double (*multiply_adds)(const conv_problem *problem, conv_pass pass, int images);
    /* For a row on matrix tiles, else NULL: how many products of 16 x 16 sums, 32 deep, a pass over `images` images makes. */
    double (*tile_products)(const conv_problem *problem, conv_pass pass, int images);
} conv_algorithm;

/* Multiply-adds of one product of matrix tiles. */
enum { CONV_TILE_MULTIPLY_ADDS = 16 * 16 * 32 };

/* What run() itself does; conv_plan_run() does the rest around it. */
typedef enum {
    CONV_FUSES_POOL = 1,      /* run() writes pooled y and reads pooled dy */
    CONV_FUSES_RELU_GRAD = 2, /* run() zeroes dx where x <= 0 */
    CONV_NATIVE_BF16 = 4,     /* run() reads and writes bfloat16 maps; without this flag all its maps are fp32 */
} conv_plan_flags;

struct conv_plan {
    const conv_algorithm *algorithm;
    conv_problem problem;
    conv_pass pass;
    size_t workspace_bytes;                                              /* set by plan(); for all threads together */
    size_t run_bytes;                                                    /* the part of workspace_bytes that run() itself needs */
    unsigned flags;                                                      /* set by plan(): conv_plan_flags, or 0 */
    size_t packed_bytes;                                                 /* set by plan(): size of `packed`; 0 for none */
    void *packed;                                                        /* the plan's own copy of the weights */
    void (*prepare)(conv_plan *plan, const float *w);                    /* renews `packed` from w; NULL if there is none */
    void (*run)(const conv_plan *plan, const conv_arguments *arguments); /* OpenMP-parallel inside; see conv_plan_run() */
    void *state;                    /* the row's own: another library's objects, an inner plan, a table of kernels; or NULL */
    void (*close)(conv_plan *plan); /* frees state; NULL if nothing is to be freed */
    double seconds;                 /* of prepare() and run(), as timed when choosing; 0 if not timed */
    double spread;                  /* by how much the median of these runs was above `seconds`, as a part of it; 0 if not timed */
};

/* All algorithms, those that are usually fastest first (see `expected` for the exceptions), the reference last; ended by NULL. */
extern const conv_algorithm *const conv_algorithms[];

/* The row of that name or former name; NULL if there is none. */
const conv_algorithm *conv_algorithm_find(const char *name);

/* Makes a plan of `algorithm` for one pass. VGG_DECLINED with the algorithm's reason, or VGG_UNAVAILABLE without memory; the plan
 * then holds nothing. conv_plan_close() frees it, and accepts a zeroed plan. */
vgg_status conv_plan_open(const conv_algorithm *algorithm, const conv_problem *problem, conv_pass pass, conv_plan *plan);
void conv_plan_close(conv_plan *plan);

/* Computes the whole pass: run(), and the conversion, pooling and masking that run() does not do itself. */
void conv_plan_run(const conv_plan *plan, const conv_arguments *arguments);

#endif

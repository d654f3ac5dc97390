/* The weight layers' products: the interface of an algorithm, and the table of all.
 *
 * A problem is a 3x3 convolution (stride 1, one pixel of zero padding, NHWC and HWIO), or a dense layer, which is the 1x1
 * convolution of a 1x1 image: kernel == 1, side == 1, w[C][K]. An algorithm declines what it does not do.
 * Dimension letters here and in every algorithm: N images, H = W = side, C input channels, K output channels,
 * x[N][H][W][C], w[3][3][C][K], b[K], y[N][H][W][K]; dx, dw, db, dy are gradients of the same shapes.
 *   forward           y[n,h,w,k]  = relu(b[k] + sum_{r,s,c} x[n,h+r-1,w+s-1,c] w[r,s,c,k])
 *   input gradient    dx[n,h,w,c] = sum_{r,s,k} dy[n,h-r+1,w-s+1,k] w[r,s,c,k]
 *   weight gradient   dw[r,s,c,k] = sum_{n,h,w} x[n,h+r-1,w+s-1,c] dy[n,h,w,k],  db[k] = sum_{n,h,w} dy[n,h,w,k]
 * Maps may lie in memory as bfloat16 (problem.bf16_x: x and dx, problem.bf16_y: y and dy); weights and their gradients are fp32.
 * Where pooling follows (problem.pool), y and dy are what lies behind it, [N][H/2][W/2][K], and pool_argmax[N][H/2][W/2][K] says which
 * pixel of its 2x2 window each came from; where a ReLU lies before (problem.rectified), dx is 0 wherever x <= 0. An algorithm that
 * can, does all this while its tile is in the cache; for the others conv_plan_run() passes over memory once more.
 * An algorithm is one file with one exported conv_algorithm, and one row in conv_list.c.
 */
#ifndef VGG11_CONV_CONV_H
#define VGG11_CONV_CONV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/precision.h"
#include "vgg11/base/status.h"

typedef enum { CONV_FORWARD, CONV_INPUT_GRAD, CONV_WEIGHT_GRAD, CONV_PASSES } conv_pass;

typedef struct {
    int kernel; /* 3, or 1 for a dense layer */
    int side;
    int in;
    int out;
    int batch; /* most images per call */
    int threads;
    bool relu;          /* in forward, after the bias */
    bool pool;          /* then 2x2 maximum pooling, stride 2; side is even */
    bool input_is_relu; /* x is the output of a ReLU: the input gradient goes on through it */
    vgg_precision precision;
    bool bf16_x;
    bool bf16_y;
} conv_problem;

typedef struct conv_plan conv_plan;

/* All arrays are 64-byte aligned; those that are read do not overlap those that are written. Of each union, the first is for
 * fp32 maps and the second for bfloat16. */
typedef struct {
    union {
        const float *x; /* forward, weight gradient; input gradient if problem.rectified */
        const uint16_t *x16;
    };
    const float *w; /* forward, input gradient: HWIO, as last given to prepare */
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
    uint8_t *pool_argmax; /* if problem.pool, 0..3 (2 * row + column): forward writes it unless NULL, the gradients read it */
    float *dw;            /* weight gradient; overwritten */
    float *db;            /* weight gradient; overwritten */
    int n;                /* images in this call, 1 <= n <= problem.batch */
    void *workspace;      /* plan->workspace_bytes, 64-byte aligned, contents undefined before and after */
} conv_arguments;

typedef struct {
    const char *name;        /* algorithm[-precision][-instruction set] */
    const char *former_name; /* what earlier versions called it, understood in options and old checkpoints; or NULL */
    const char *good_when;
    vgg_precision precision;
    bool transforms_operands; /* it multiplies transforms of the operands (Winograd), not the operands themselves */
    /* Largest error allowed against the reference in each pass, relative to the largest |value| of the reference (or, where
     * its terms cancel, to the root of their number times their size). */
    float tolerance[CONV_PASSES];
    /* Whether this row should be the fastest of its precision for `problem` on this processor: it is then tried before the others,
     * which come in the table's order. NULL: nowhere. */
    bool (*expected)(const conv_problem *problem, conv_pass pass);
    /* Fills plan->run and what else it needs for plan->problem and plan->pass; or says vgg_fail(VGG_DECLINED, reason). Must
     * not keep memory of its own other than plan->packed (which the planner allocates, zeroed, packed_bytes long) and
     * plan->state, which plan->close frees; after a failure it leaves neither. plan->run must do what problem.relu says, but
     * the rest only if it says so in plan->flags. */
    vgg_status (*plan)(conv_plan *plan);
    /* Of a row on matrix tiles, else NULL: products of a tile of 16 x 16 sums, 32 deep, that a pass over `images` images makes. */
    double (*tile_products)(const conv_problem *problem, conv_pass pass, int images);
} conv_algorithm;

/* What one such product multiplies and adds at most. */
enum { CONV_TILE_MULTIPLY_ADDS = 16 * 16 * 32 };

/* What run() does of itself; conv_plan_run() does the rest around it. */
typedef enum {
    CONV_FUSES_POOL = 1,      /* it reads and writes pooled y and dy */
    CONV_FUSES_RELU_GRAD = 2, /* it zeroes dx where x <= 0 */
    CONV_NATIVE_BF16 = 4,     /* it takes maps in bfloat16; otherwise all are fp32 */
} conv_plan_flags;

struct conv_plan {
    const conv_algorithm *algorithm;
    conv_problem problem;
    conv_pass pass;
    size_t workspace_bytes;                                              /* set by plan(); for all threads together */
    size_t run_bytes;                                                    /* of these, what run() itself needs */
    unsigned flags;                                                      /* set by plan(): conv_plan_flags, or 0 */
    size_t packed_bytes;                                                 /* set by plan(); 0 if it keeps nothing */
    void *packed;                                                        /* the plan's own copy of the weights */
    void (*prepare)(conv_plan *plan, const float *w);                    /* NULL if nothing is kept; after each change of w */
    void (*run)(const conv_plan *plan, const conv_arguments *arguments); /* OpenMP-parallel inside; see conv_plan_run() */
    void *state;                    /* another library's objects, if the row holds any; else NULL */
    void (*close)(conv_plan *plan); /* frees state; NULL if there is none */
    double seconds;                 /* measured when choosing; 0 if not */
};

/* All algorithms, but for `expected` the fastest first, the reference last; ended by NULL. */
extern const conv_algorithm *const conv_algorithms[];
const conv_algorithm *conv_algorithm_find(const char *name);

/* Makes the plan of `algorithm`: VGG_DECLINED with its reason, or VGG_UNAVAILABLE without memory. conv_plan_close() frees. */
vgg_status conv_plan_open(const conv_algorithm *algorithm, const conv_problem *problem, conv_pass pass, conv_plan *plan);
void conv_plan_close(conv_plan *plan);

/* The whole pass: run(), and the conversion, pooling and masking that it leaves out. */
void conv_plan_run(const conv_plan *plan, const conv_arguments *arguments);

#endif

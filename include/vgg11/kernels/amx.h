/* Inner kernels of the row direct-bf16-amx, built twice from one template (amx.inc.h): on the processor's matrix tiles, and on
 * emulated ones.
 *
 * The one product is a block of 32 x 32 sums, two by two matrix tiles, over a batch of as many steps of depth 32 as the caller
 * lists ("batch-reduce GEMM": Georganas et al., arXiv:1906.06440). A lies in whole matrix tiles, [step][16 rows][32]; B in panels
 * of 32 columns whose rows pair up, [step][16 pairs][32][2]. A sum's terms are added in the order of the list, whichever block it
 * is in.
 */
#ifndef VGG11_KERNELS_AMX_H
#define VGG11_KERNELS_AMX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/amx_tile.h"

enum {
    AMX_BLOCK = 2 * AMX_ROWS,               /* rows, and columns, of a block of sums */
    AMX_PANEL_STEP = AMX_DEPTH * AMX_BLOCK, /* elements of a panel in one step */
    AMX_KERNEL_LINES = 3                    /* most lines of taps of a kernel */
};

/* A map or a kernel, as fp32 or as bfloat16; the other pointer is NULL. */
typedef struct {
    const float *fp32;
    const bf16 *bf16;
} amx_source;

/* A part of a batch: `lines` lines of the product's `steps` steps, each line contiguous in both operands. */
typedef struct {
    const bf16 *a;
    const bf16 *b;
    int lines;
    ptrdiff_t a_line; /* elements from line to line of a */
    ptrdiff_t b_line; /* elements from line to line of b */
} amx_batch;

/* Floats that will be wanted soon, `width` cache lines in each of `rows` rows: each step of a product prefetches some of these
 * lines into the level-2 cache, and the next product goes on where the last one stopped. */
typedef struct {
    const float *first;
    size_t stride; /* floats from row to row */
    int width;
    int rows;
    int row;    /* of the line that is next */
    int column; /* of the line that is next: 0 .. width - 1 */
    int lines_a_step;
} amx_prefetch;

typedef struct {
    amx_batch batch[AMX_KERNEL_LINES];
    int batches;        /* parts of the batch that are used */
    int steps;          /* of each line of each part */
    ptrdiff_t a_second; /* elements from the first matrix tile of a's rows to the second */
    bool two_rows;      /* there is a second matrix tile of rows */
    bool two_columns;   /* more than AMX_ROWS columns matter */
    float *sums;
    size_t sums_stride; /* floats from row to row */
    bool accumulate;    /* add to what `sums` holds */
    amx_prefetch *prefetch;
} amx_product;

/* A block of a 3x3 convolution whose rows are 16 images of a pixel and 16 of its right neighbour. Each pixel that is read is loaded
 * once and multiplied for both. A sum's terms are added in the order line of the kernel, step, column of the kernel. */
typedef struct {
    struct {
        const bf16 *a; /* the pixel above, at or below the left one of the two */
        const bf16 *b; /* the panel of the tap that multiplies the pixel left of that one */
    } line[AMX_KERNEL_LINES];
    int lines;
    int steps;
    ptrdiff_t a_pixel; /* elements from pixel to pixel of a */
    ptrdiff_t b_tap;   /* elements from tap to tap of b */
    bool has_left;     /* the map goes on to the left of the two pixels */
    bool has_right;    /* the map goes on to the right of the two pixels */
    bool two_columns;  /* more than AMX_ROWS columns matter */
    float *sums;       /* [2 pixels][AMX_ROWS][AMX_BLOCK] */
    amx_prefetch *prefetch;
} amx_pair_product;

/* The epilogue: how sums, whose rows are images, become results. Bias is added, then the ReLU, pooling and the mask are applied, as
 * far as they are asked for. */
typedef struct {
    const float *sums;    /* [rows][AMX_BLOCK] */
    size_t window_stride; /* if pooled, floats from the sums of one pixel of the window to those of the next */
    int rows;
    int columns;
    bool pooled;
    float *fp32;          /* where results go; NULL if to bf16 */
    bf16 *bf16;           /* where rounded results go; NULL if to fp32 */
    uint8_t *pool_argmax; /* if pooled, laid out like the results; or NULL */
    amx_source positive;  /* results are 0 where this is <= 0, laid out like the results; both NULL for no mask */
    size_t stride;        /* numbers from image to image of results, pool_argmax and `positive` */
    const float *bias;    /* or NULL */
    bool relu;
} amx_output;

/* What is packed at a time: `count` <= AMX_DEPTH channels of one pixel of some images or, where the map is pooled, of one
 * window. */
typedef struct {
    amx_source map;             /* the first of these channels of the first image */
    const uint8_t *pool_argmax; /* of a pooled map, laid out like the map; else NULL */
    size_t stride;              /* numbers from image to image of the map */
    int images;
    int count;
    size_t right; /* of a window, packed elements from a pixel to its right neighbour */
    size_t down;  /* of a window, packed elements from a pixel to the one below */
} amx_pixel;

typedef struct {
    /* Configures the calling thread's tile registers (LDTILECFG) and releases them: before and after all its products. */
    void (*begin)(void);
    void (*end)(void);
    void (*multiply)(const amx_product *product);
    void (*multiply_pair)(const amx_pair_product *product);
    void (*finish)(const amx_output *output);

    /* Packs a matrix tile of rows of A, to[16 images][32 channels], with zeros past images and channels; of a window, one for each
     * pixel. */
    void (*pack_images)(bf16 *to, const amx_pixel *pixel);
    /* Packs A of a product that sums over images, of which there are at most 32: two matrix tiles to[16 channels][32 images], the
     * second `second` elements after the first; of a window, two for each pixel. */
    void (*pack_across)(bf16 *to, size_t second, const amx_pixel *pixel);
    /* Packs B of a product that sums over images, of which there are at most 32: to[16 pairs of images][32 channels][2]; of a
     * window, one for each pixel. sums[channel] = the sum over the images of the map, which may be pooled. */
    void (*pack_pairs)(bf16 *to, const amx_pixel *pixel, float *sums);

    /* Packs a panel of weights: to[rows / 2][32][2] = source[rows][columns], columns <= 32, with zeros past the columns, and past
     * the rows up to a multiple of 32. */
    void (*pack_rows)(bf16 *to, const float *source, size_t stride, int rows, int columns);
    /* Packs a panel from the transposed matrix source[columns][rows]; otherwise like pack_rows. */
    void (*pack_columns)(bf16 *to, const float *source, size_t stride, int rows, int columns);

    /* to[rows][stride] = sums[rows][AMX_BLOCK]. With `stream`, past the caches: columns must be AMX_BLOCK, `to` and stride aligned
     * to cache lines. */
    void (*store)(float *to, size_t stride, const float *sums, int rows, int columns, bool stream);
    /* Makes this thread's streaming stores visible to other threads before what it stores next. */
    void (*finish_stores)(void);
} amx_kernels;

extern const amx_kernels amx_kernels_native;   /* to be used where cpu_detect()->amx_bf16 only */
extern const amx_kernels amx_kernels_emulated; /* built for tests only */

#endif

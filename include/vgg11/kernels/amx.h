/* Inner kernels of the row direct-bf16-amx, built twice from one template (amx_kernels.inc.h): on the processor's matrix tiles,
 * and on emulated ones.
 *
 * The one product is a block of 32 x 32 sums, two by two tiles, over as many steps of depth 32 as the caller lists ("batch-reduce
 * GEMM": Georganas et al., arXiv:1906.06440). A lies in whole tiles, [step][16 rows][32]; B in panels of 32 columns whose rows
 * pair up, [step][16 pairs][32][2]. A sum's terms come in the order of the list, whatever block it is in.
 */
#ifndef VGG11_NN_AMX_KERNELS_H
#define VGG11_NN_AMX_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/amx_tile.h"

enum {
    AMX_BLOCK = 2 * AMX_ROWS,               /* rows, and columns, of a block of sums */
    AMX_PANEL_STEP = AMX_DEPTH * AMX_BLOCK, /* elements of a panel in one step */
    AMX_MOST_RUNS = 3
};

/* A map or a kernel in one of two forms; the other is NULL. */
typedef struct {
    const float *wide;
    const bf16 *narrow;
} amx_source;

/* Steps that follow each other in both operands, `lines` times. */
typedef struct {
    const bf16 *a;
    const bf16 *b;
    int lines;
    ptrdiff_t a_line; /* elements from line to line */
    ptrdiff_t b_line;
} amx_run;

/* Cache lines of floats that will be wanted soon, `width` beside each other in each of `rows`: so many are fetched into the level-2
 * cache in each step, from where the last product left off. */
typedef struct {
    const float *first;
    size_t stride; /* floats from row to row */
    int width;
    int rows;
    int row; /* the next line */
    int column;
    int lines_a_step;
} amx_fetch;

typedef struct {
    amx_run run[AMX_MOST_RUNS];
    int runs;
    int steps;          /* of each line */
    ptrdiff_t a_second; /* elements from the first tile of rows to the second */
    bool two_rows;      /* there is a second */
    bool two_columns;   /* more than AMX_ROWS columns matter */
    float *sums;
    size_t sums_stride; /* floats */
    bool accumulate;    /* onto what sums holds */
    amx_fetch *fetch;
} amx_product;

/* A 3x3 convolution's block whose rows are 16 images of a pixel and 16 of its right neighbour: each pixel of the map that is read
 * serves both, from the register. Sums come in the order line of the kernel, step, column. */
typedef struct {
    struct {
        const bf16 *a; /* the pixel above, beside or below the left one of the two */
        const bf16 *b; /* the panel of the tap that meets the pixel left of that one */
    } line[AMX_MOST_RUNS];
    int lines;
    int steps;
    ptrdiff_t a_pixel; /* elements from pixel to pixel */
    ptrdiff_t b_tap;   /* and from tap to tap */
    bool has_left;     /* the map goes on to the left and to the right of the two pixels */
    bool has_right;
    bool two_columns;
    float *sums; /* [2][AMX_ROWS][AMX_BLOCK] */
    amx_fetch *fetch;
} amx_pair_product;

/* What becomes of sums: plus bias, rectified, of four the largest, zero where another map is not
 * positive. Rows are images. */
typedef struct {
    const float *sums; /* [rows][AMX_BLOCK] */
    size_t place_sums; /* of pooled ones, floats to those of the window's next pixel */
    int rows;
    int columns;
    bool pooled;
    float *wide; /* where to; one of the two is NULL */
    bf16 *narrow;
    uint8_t *pool_argmax; /* of pooled ones, or NULL; laid out like the result */
    amx_source positive;  /* both NULL: no mask; laid out like the result */
    size_t stride;        /* numbers from image to image */
    const float *bias;    /* or NULL */
    bool relu;
} amx_output;

/* Channels first .. first+count-1 of images of one pixel, or of one window where the map is pooled: `count` <= AMX_DEPTH. */
typedef struct {
    amx_source map;             /* at the first image's first channel in question */
    const uint8_t *pool_argmax; /* of pooled maps; laid out like the map */
    size_t stride;              /* numbers from image to image */
    int images;
    int count;
    size_t right; /* of a window, elements from what is packed of a pixel to that of its right neighbour, */
    size_t down;  /* and of the one below */
} amx_pixel;

typedef struct {
    /* LDTILECFG for whole tiles, and back, on the calling thread: around all products. */
    void (*begin)(void);
    void (*end)(void);
    void (*multiply)(const amx_product *product);
    void (*multiply_pair)(const amx_pair_product *product);
    void (*finish)(const amx_output *output);

    /* to[16 images][32 channels], zeros past images and channels; of a window one for each pixel. */
    void (*pack_images)(bf16 *to, const amx_pixel *pixel);
    /* For products that sum over images, at most 32 of them: to[2][16 channels][32 images], the second `second` elements after the
     * first. */
    void (*pack_across)(bf16 *to, size_t second, const amx_pixel *pixel);
    /* Likewise, a step of a panel: to[16 pairs of images][32 channels][2]. Of a pooled or a whole map, sums[channel] is the sum
     * over its images. */
    void (*pack_pairs)(bf16 *to, const amx_pixel *pixel, float *sums);

    /* A panel from floats: to[rows / 2][32][2] = source[rows][columns], columns <= 32; zeros past the columns, and past the rows to
     * a multiple of 32. */
    void (*pack_rows)(bf16 *to, const float *source, size_t stride, int rows, int columns);
    /* The same of source's transpose: source[columns][rows]. */
    void (*pack_columns)(bf16 *to, const float *source, size_t stride, int rows, int columns);

    /* to[rows][stride] = sums[rows][AMX_BLOCK]; `stream` past the caches, if columns are AMX_BLOCK and `to` is aligned. */
    void (*store)(float *to, size_t stride, const float *sums, int rows, int columns, bool stream);
    void (*finish_stores)(void);
} amx_kernels;

extern const amx_kernels amx_kernels_native;   /* where cpu_detect()->amx_bf16 */
extern const amx_kernels amx_kernels_emulated; /* built for tests only */

#endif

/* bf16-avx512: rounds activations and weights to bf16 and multiplies pairs with VDPBF16PS, 14 x 32 sums at a time.
 *
 * Forward and input gradient are one routine: a convolution reads its input in place, through pointers to the rows of a
 * tile. Pixels with the same valid taps (corners, edges, inside) are taken together, so that no product with padding is
 * ever made: on a 2x2 map 16 of 36 taps are real. The weights of 32 outputs are packed by the thread that is about to use
 * them, into its level-2 cache; a copy kept between steps would cost more traffic than it saves.
 * VDPBF16PS takes denormals for zero and adds a pair's products before the sum, hence the tolerance, not bit equality.
 */
#include "nn/conv_bf16_avx512.h"

#include <omp.h>

#include "vgg11/base/cpu.h"
#include "vgg11/base/memory.h"

enum { MAX_SEGMENTS = 3 };

/* Lines (or columns) of the map, begin .. end-1, that have the same valid taps, tap_begin .. tap_end-1, along this axis. */
typedef struct {
    int begin;
    int end;
    int tap_begin;
    int tap_end;
} axis_segment;

typedef struct {
    const conv_plan *plan;
    const conv_arguments *arguments;
    const float *from; /* x or dy */
    float *to;         /* y or dx */
    int in;            /* channels of from */
    int out;           /* channels of to */
    int sign;          /* tap t reads at +sign * (t - 1) */
    int segment_count;
    axis_segment segments[MAX_SEGMENTS];
    int steps;         /* pairs of input channels */
    bf16 *activations; /* [n][side][side][2 * steps] */
    bf16 *panels;      /* one for each thread: [taps][steps][PANEL][2] */
    size_t panel_size;
    int panel_count;
    int groups;        /* the rows of a panel are shared out in so many */
} gather_work;

static void find_segments(gather_work *work, int kernel, int side)
{
    for (int line = 0; line < side; line++) {
        axis_segment here = {line, line + 1, kernel, 0};
        for (int tap = 0; tap < kernel; tap++) {
            int source = line + work->sign * (tap - kernel / 2);
            if (source < 0 || source >= side) continue;
            if (tap < here.tap_begin) here.tap_begin = tap;
            here.tap_end = tap + 1;
        }
        axis_segment *last = work->segments + (work->segment_count ? work->segment_count - 1 : 0);
        bool same = line > 0 && last->tap_begin == here.tap_begin && last->tap_end == here.tap_end;
        if (same) last->end = here.end;
        else work->segments[work->segment_count++] = here;
    }
}

/* Enough items for the threads to finish together, without packing a panel more often than that takes. */
static int group_count(int panel_count, int threads)
{
    return panel_count % threads == 0 || panel_count >= 8 * threads ? 1 : threads;
}

static size_t activation_bytes(const conv_problem *p, int channels)
{
    size_t padded = vgg_round_up((size_t)channels, 2);
    return vgg_round_up((size_t)p->batch * p->side * p->side * padded * sizeof(bf16), VGG_ALIGNMENT_BYTES);
}

static size_t panel_elements(const conv_problem *p, int channels)
{
    return (size_t)p->kernel * p->kernel * ((channels + 1) / 2) * PANEL_STEP;
}

static gather_work start_work(const conv_plan *plan, const conv_arguments *arguments)
{
    const conv_problem *p = &plan->problem;
    bool forward = plan->pass == CONV_FORWARD;
    gather_work work = {.plan = plan, .arguments = arguments, .sign = forward ? 1 : -1};
    work.from = forward ? arguments->x : arguments->dy;
    work.to = forward ? arguments->y : arguments->dx;
    work.in = forward ? p->in : p->out;
    work.out = forward ? p->out : p->in;
    work.steps = (work.in + 1) / 2;
    work.activations = arguments->workspace;
    work.panels = (bf16 *)((char *)arguments->workspace + activation_bytes(p, work.in));
    work.panel_size = panel_elements(p, work.in);
    work.panel_count = (work.out + PANEL - 1) / PANEL;
    work.groups = group_count(work.panel_count, p->threads);
    find_segments(&work, p->kernel, p->side);
    return work;
}

static void round_activations(const gather_work *work, int thread, int threads)
{
    const conv_problem *p = &work->plan->problem;
    size_t pixels = (size_t)work->arguments->n * p->side * p->side;
    size_t begin = pixels * thread / threads, end = pixels * (thread + 1) / threads;
    if (work->in % 2 == 0) {
        bf16_pack_flat(work->activations + begin * work->in, work->from + begin * work->in, (end - begin) * work->in);
        return;
    }
    for (size_t pixel = begin; pixel < end; pixel++) {
        bf16 *row = work->activations + pixel * 2 * work->steps;
        bf16_pack_flat(row, work->from + pixel * work->in, work->in);
        row[work->in] = 0;
    }
}

static void pack_panel(const gather_work *work, bf16 *panel, int first)
{
    const conv_problem *p = &work->plan->problem;
    int columns = work->out - first < PANEL ? work->out - first : PANEL;
    for (int tap = 0; tap < p->kernel * p->kernel; tap++) {
        const float *w = work->arguments->w + (size_t)tap * p->in * p->out;
        bf16 *out = panel + (size_t)tap * work->steps * PANEL_STEP;
        if (work->sign > 0) bf16_pack_row_pairs(out, w + first, p->out, work->in, columns);
        else bf16_pack_column_pairs(out, w + (size_t)first * p->out, p->out, columns, work->in);
    }
}

static void list_taps(const gather_work *work, gather_tile *tile, const bf16 *panel, const axis_segment *h,
                      const axis_segment *w)
{
    const conv_problem *p = &work->plan->problem;
    tile->taps = 0;
    for (int r = h->tap_begin; r < h->tap_end; r++) {
        for (int s = w->tap_begin; s < w->tap_end; s++) {
            int pixels = (r - p->kernel / 2) * p->side + s - p->kernel / 2;
            tile->tap_offset[tile->taps] = (ptrdiff_t)work->sign * pixels * 2 * work->steps;
            tile->tap_panel[tile->taps++] = panel + (size_t)(r * p->kernel + s) * work->steps * PANEL_STEP;
        }
    }
}

/* The tile's rows are rows first .. first+count-1 of the pixels of h x w, image after image. */
static void list_rows(const gather_work *work, gather_tile *tile, int first_column, const axis_segment *h,
                      const axis_segment *w, int first, int count)
{
    int side = work->plan->problem.side;
    int width = w->end - w->begin, area = (h->end - h->begin) * width;
    for (int i = 0; i < count; i++) {
        int image = (first + i) / area, inside = (first + i) % area;
        size_t pixel = ((size_t)image * side + h->begin + inside / width) * side + w->begin + inside % width;
        tile->row[i] = work->activations + pixel * 2 * work->steps;
        tile->out[i] = work->to + pixel * work->out + first_column;
    }
}

/* This group's share of the rows of h x w, in tiles of nearly equal height: a flat last tile would waste the most. */
static void multiply_segment(const gather_work *work, gather_tile *tile, int first_column, int group,
                             const axis_segment *h, const axis_segment *w)
{
    int rows = work->arguments->n * (h->end - h->begin) * (w->end - w->begin);
    int begin = (int)((long long)rows * group / work->groups);
    int end = (int)((long long)rows * (group + 1) / work->groups);
    int tiles = (end - begin + TILE_ROWS - 1) / TILE_ROWS;
    for (int i = 0; i < tiles; i++) {
        int first = begin + (int)((long long)(end - begin) * i / tiles);
        int count = begin + (int)((long long)(end - begin) * (i + 1) / tiles) - first;
        list_rows(work, tile, first_column, h, w, first, count);
        gather_tile_product[count](tile);
    }
}

static void multiply_panel(const gather_work *work, const bf16 *panel, int first_column, int group)
{
    gather_tile tile = {.steps = work->steps};
    tile.columns = work->out - first_column < PANEL ? work->out - first_column : PANEL;
    if (work->sign > 0) {
        tile.bias = work->arguments->b + first_column;
        tile.relu = work->plan->problem.relu;
    }
    for (int h = 0; h < work->segment_count; h++) {
        for (int w = 0; w < work->segment_count; w++) {
            list_taps(work, &tile, panel, &work->segments[h], &work->segments[w]);
            multiply_segment(work, &tile, first_column, group, &work->segments[h], &work->segments[w]);
        }
    }
}

static void run(const conv_plan *plan, const conv_arguments *arguments)
{
    const gather_work work = start_work(plan, arguments);
#pragma omp parallel num_threads(plan->problem.threads)
    {
        bf16 *panel = work.panels + omp_get_thread_num() * work.panel_size;
        round_activations(&work, omp_get_thread_num(), omp_get_num_threads());
#pragma omp barrier
#pragma omp for schedule(dynamic)
        for (int item = 0; item < work.panel_count * work.groups; item++) {
            int first_column = item / work.groups * PANEL;
            pack_panel(&work, panel, first_column);
            multiply_panel(&work, panel, first_column, item % work.groups);
        }
    }
}

static vgg_status make_plan(conv_plan *plan)
{
    const conv_problem *p = &plan->problem;
    if (!cpu_detect()->avx512_bf16) return vgg_fail(VGG_DECLINED, "needs AVX512_BF16; this CPU has not");
    if (plan->pass == CONV_WEIGHT_GRADIENT) return bf16_avx512_plan_weights(plan);
    int in = plan->pass == CONV_FORWARD ? p->in : p->out;
    plan->workspace_bytes = activation_bytes(p, in) + p->threads * panel_elements(p, in) * sizeof(bf16);
    plan->run = run;
    return VGG_OK;
}

const conv_algorithm conv_bf16_avx512 = {
    .name = "bf16-avx512",
    .good_when = "the CPU multiplies bf16 pairs (AVX512_BF16) but has no AMX",
    .precision = PRECISION_BF16,
    .tolerance = {1e-2f, 1e-2f, 1e-2f},
    .plan = make_plan,
};

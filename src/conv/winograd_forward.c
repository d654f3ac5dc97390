/* Forward and input gradient: the latter is the former with the kernel turned round and its channels exchanged. */
#include "conv/winograd.h"

#include <omp.h>

#include "vgg11/conv/progress_poll.h"

enum { TAPS = 9, FETCHES_OF_ROWS = 2 };

typedef struct {
    winograd_shape shape;
    winograd_layout source;
    bool transposed;
    bool bf16; /* maps of bfloat16 */
    size_t panel;
    size_t panels;
    size_t tap_stride;    /* of one channel block's packed weights */
    size_t kernel_stride; /* of one channel block's elements of the kernel */
    size_t sum_stride;    /* of one panel's summed products, [element][tile of tile block][panel] */
} forward_pass;

typedef struct {
    float *source;
    float *taps; /* this thread's, as the next two */
    float *kernel;
    float *sums;
} forward_memory;

/* Of a pass over the shape's tiles; threads with shards of their own have L3 blocks that together are as large as a common one. */
static forward_pass forward_pass_of(const conv_plan *plan, const winograd_shape *shape, size_t shards)
{
    forward_pass g = {.shape = *shape, .transposed = plan->pass == CONV_INPUT_GRAD, .bf16 = plan->flags & CONV_NATIVE_BF16};
    g.source = winograd_layout_of(&g.shape, g.shape.in, WINOGRAD_DEPTH, REDUCE_CHANNELS);
    winograd_set_l3_block(&g.shape, g.source.tile_block_stride * shards, 0);
    g.panel = (size_t)g.shape.kernels->panel;
    g.panels = gemm_panels(g.shape.kernels, g.shape.out);
    g.tap_stride = g.source.channels * g.panel + WINOGRAD_LINE_FLOATS;
    g.kernel_stride = WINOGRAD_DEPTH * g.panel + WINOGRAD_LINE_FLOATS;
    g.sum_stride = g.shape.block_tiles * g.panel + WINOGRAD_LINE_FLOATS;
    return g;
}

static size_t thread_floats(const forward_pass *g)
{
    return TAPS * g->tap_stride + (size_t)g->shape.form->elements * (g->kernel_stride + g->sum_stride);
}

/* Points of the source, for one of `shards`, lie before what each thread has of its own. */
static forward_memory memory_of(const forward_pass *g, void *workspace, size_t shards)
{
    size_t source_floats = winograd_layout_floats(&g->shape, &g->source), thread = (size_t)omp_get_thread_num();
    forward_memory memory = {.source = (float *)workspace + (shards > 1 ? thread * source_floats : 0)};
    memory.taps = (float *)workspace + shards * source_floats + thread * thread_floats(g);
    memory.kernel = memory.taps + TAPS * g->tap_stride;
    memory.sums = memory.kernel + (size_t)g->shape.form->elements * g->kernel_stride;
    return memory;
}

/* One channel block of source channels for one panel of result channels: its weights under one tap lie in rows, along the panel in
 * forward, and down it in the input gradient. */
typedef struct {
    size_t channel;
    size_t depth;
    size_t column;
    size_t columns;
} filter_block;

static filter_block filter_block_at(const forward_pass *g, size_t panel, size_t channel_block)
{
    filter_block k = {.channel = channel_block * g->source.channels, .column = panel * g->panel};
    k.depth = minimum(g->shape.in - k.channel, g->source.channels);
    k.columns = minimum(g->shape.out - k.column, g->panel);
    return k;
}

static const float *tap_weights(const forward_pass *g, const filter_block *k, size_t tap, const float *w)
{
    if (g->transposed) return w + ((TAPS - 1 - tap) * g->shape.out + k->column) * g->shape.in + k->channel;
    return w + (tap * g->shape.in + k->channel) * g->shape.out + k->column;
}

/* Whole panels of forward are read where they lie. */
static void transform_filter(const forward_pass *g, const filter_block *k, const float *w, const forward_memory *memory)
{
    const simd_kernels *kernels = g->shape.kernels;
    const winograd_transforms *form = g->shape.form;
    if (!g->transposed && k->columns == g->panel) {
        form->transform_filter(memory->kernel, g->kernel_stride, tap_weights(g, k, 0, w), g->shape.in * g->shape.out, k->depth,
                               g->shape.out);
        return;
    }
    for (size_t tap = 0; tap < TAPS; tap++) {
        float *to = memory->taps + tap * g->tap_stride;
        if (g->transposed)
            kernels->pack_transposed(to, tap_weights(g, k, tap, w), g->shape.in, k->depth, k->columns);
        else
            kernels->pack(to, tap_weights(g, k, tap, w), g->shape.out, k->depth, k->columns);
    }
    form->transform_filter(memory->kernel, g->kernel_stride, memory->taps, g->tap_stride, k->depth, g->panel);
}

/* What the tiles of a element fetch: one tap's part of the weights that come next, until all are fetched, and the next element's
 * rows. A tile fetches as many rows as its product is deep. */
static size_t fetch_after(const forward_pass *g, size_t element, const float *a, const filter_block *next, const float *w,
                          gemm_prefetch *fetches)
{
    size_t rows_floats = WINOGRAD_DEPTH * g->panel, part = element / TAPS * WINOGRAD_DEPTH, count = 0;
    if (part < next->depth) {
        filter_block from = *next;
        from.channel += part;
        fetches[count++] = gemm_prefetch_block(g->shape.kernels, tap_weights(g, &from, element % TAPS, w),
                                               g->transposed ? g->shape.in : g->shape.out, g->transposed);
    }
    for (size_t i = 0; i < FETCHES_OF_ROWS; i++)
        fetches[count++] = gemm_prefetch_block(g->shape.kernels, a + g->source.element_stride + i * rows_floats, g->panel, false);
    return count;
}

static void multiply_elements(const forward_pass *g, vgg_range l3_block, size_t tile_block, size_t channel_block,
                              const filter_block *now, const filter_block *next, const float *w, const forward_memory *memory)
{
    const float *source = memory->source + (tile_block - l3_block.first) * g->source.tile_block_stride +
                          channel_block * g->source.channel_block_stride;
    gemm_prefetch fetches[1 + FETCHES_OF_ROWS];
    for (size_t p = 0; p < (size_t)g->shape.form->elements; p++) {
        gemm_tile tile = {.a = source + p * g->source.element_stride,
                          .a_stride = WINOGRAD_DEPTH,
                          .b = memory->kernel + p * g->kernel_stride,
                          .c = memory->sums + p * g->sum_stride,
                          .c_stride = g->panel,
                          .depth = winograd_words(&g->shape, now->depth),
                          .accumulate = channel_block > 0};
        size_t count = fetch_after(g, p, tile.a, next, w, fetches);
        gemm_by_rows(g->shape.kernels, &tile, winograd_tile_block(&g->shape, tile_block).count, fetches, count);
    }
}

static void store_outputs(const forward_pass *g, size_t tile_block, size_t panel, const float *sums, const conv_arguments *a,
                          const conv_problem *problem)
{
    vgg_range tiles = winograd_tile_block(&g->shape, tile_block);
    void *result = g->transposed ? (void *)a->dx : (void *)a->y;
    winograd_maps maps = {result, g->bf16, NULL, problem->pool && !g->transposed, g->shape.out};
    tile_epilogue output = {.relu = problem->relu && !g->transposed, .bias = g->transposed ? NULL : a->b + panel * g->panel};
    for (size_t i = 0; i < tiles.count; i++) {
        map_tile tile = winograd_tile(&g->shape, &maps, tiles.first + i, panel * g->panel, g->panel);
        size_t first = winograd_offset(&g->shape, &maps, tiles.first + i, panel * g->panel);
        output.map = (char *)result + winograd_map_bytes(&maps, first);
        output.pool_argmax = maps.pooled && a->pool_argmax ? a->pool_argmax + first : NULL;
        output.positive = g->transposed && problem->input_is_relu ? (const char *)a->x + winograd_map_bytes(&maps, first) : NULL;
        g->shape.form->inverse_transform_output(&tile, &output, sums + i * g->panel, g->sum_stride);
    }
}

/* Where one channel block holds all source channels, its kernel serves all tile blocks of the L3 block. */
static void multiply_task(const forward_pass *g, vgg_range l3_block, size_t task, const conv_arguments *a,
                          const forward_memory *memory, const conv_problem *problem, size_t *packed_panel)
{
    size_t channel_blocks = g->source.channel_blocks, panel = task / l3_block.count,
           tile_block = l3_block.first + task % l3_block.count;
    for (size_t channel_block = 0; channel_block < channel_blocks; channel_block++) {
        filter_block now = filter_block_at(g, panel, channel_block);
        size_t next_panel = minimum((task + (channel_block + 1) / channel_blocks) / l3_block.count, g->panels - 1);
        filter_block next = filter_block_at(g, next_panel, (channel_block + 1) % channel_blocks);
        if (panel != *packed_panel || channel_blocks > 1) transform_filter(g, &now, a->w, memory);
        multiply_elements(g, l3_block, tile_block, channel_block, &now, &next, a->w, memory);
    }
    *packed_panel = panel;
    store_outputs(g, tile_block, panel, memory->sums, a, problem);
    progress_poll();
}

typedef struct {
    const forward_pass *g;
    const conv_arguments *arguments;
    const conv_problem *problem;
    winograd_maps source;
} forward_work;

/* Every thread some of the tiles, then some of the panels x tile blocks. */
static void run_l3_block(const forward_work *work, vgg_range l3_block, const forward_memory *memory)
{
    const forward_pass *g = work->g;
    const winograd_transforms *form = g->shape.form;
    size_t packed_panel = g->panels;
    winograd_transform(&g->shape, &g->source, l3_block, &work->source, form->transform_input, form->margin, memory->source);
#pragma omp for schedule(guided)
    for (size_t task = 0; task < g->panels * l3_block.count; task++)
        multiply_task(g, l3_block, task, work->arguments, memory, work->problem, &packed_panel);
}

static void run_l3_block_alone(const forward_work *work, vgg_range l3_block, const forward_memory *memory)
{
    const forward_pass *g = work->g;
    const winograd_transforms *form = g->shape.form;
    size_t packed_panel = g->panels;
    winograd_transform_alone(&g->shape, &g->source, l3_block, &work->source, form->transform_input, form->margin, memory->source);
    for (size_t task = 0; task < g->panels * l3_block.count; task++)
        multiply_task(g, l3_block, task, work->arguments, memory, work->problem, &packed_panel);
}

/* The first shard of `shards`; none is larger. */
static forward_pass forward_pass_of_shard(const conv_plan *plan, size_t n, size_t shards)
{
    winograd_shape all = winograd_shape_of(plan, n), first = winograd_shard(&all, shards, 0);
    return forward_pass_of(plan, &first, shards);
}

static void run_shard(const forward_work *work, const winograd_shape *shard, const forward_memory *memory)
{
    forward_pass g = *work->g;
    size_t l3_tile_blocks = g.shape.l3_tile_blocks;
    g.shape = *shard;
    g.shape.l3_tile_blocks = l3_tile_blocks;
    forward_work own = *work;
    own.g = &g;
    for (size_t first = 0; first < g.shape.tile_blocks; first += l3_tile_blocks)
        run_l3_block_alone(&own, winograd_l3_block(&g.shape, first), memory);
}

static void run_forward(const conv_plan *plan, const conv_arguments *a)
{
    const winograd_shape all = winograd_shape_of(plan, (size_t)a->n);
    size_t threads = (size_t)plan->problem.threads, shards = winograd_shards_pay(&all, threads) ? threads : 1;
    const forward_pass g = forward_pass_of_shard(plan, (size_t)a->n, shards);
    forward_work work = {&g, a, &plan->problem, {a->x, g.bf16, NULL, false, g.shape.in}};
    if (g.transposed) work.source = (winograd_maps){a->dy, g.bf16, a->pool_argmax, plan->problem.pool, g.shape.in};
#pragma omp parallel num_threads(plan->problem.threads)
    {
        forward_memory memory = memory_of(&g, a->workspace, shards);
        if (shards > 1) {
#pragma omp for schedule(static)
            for (size_t i = 0; i < shards; i++) {
                winograd_shape shard = winograd_shard(&all, shards, i);
                run_shard(&work, &shard, &memory);
            }
        } else {
            for (size_t first = 0; first < g.shape.tile_blocks; first += g.shape.l3_tile_blocks)
                run_l3_block(&work, winograd_l3_block(&g.shape, first), &memory);
        }
    }
}

/* In shards or not: fewer images than were planned for may be shared out where those are not. */
static size_t workspace_floats(const conv_plan *plan)
{
    size_t threads = (size_t)plan->problem.threads, n = (size_t)plan->problem.batch;
    forward_pass common = forward_pass_of_shard(plan, n, 1), own = forward_pass_of_shard(plan, n, threads);
    size_t common_floats = winograd_layout_floats(&common.shape, &common.source);
    size_t shares_floats = threads * winograd_layout_floats(&own.shape, &own.source);
    return (common_floats > shares_floats ? common_floats : shares_floats) + threads * thread_floats(&common);
}

void winograd_plan_forward(conv_plan *plan)
{
    plan->run = run_forward;
    plan->workspace_bytes = workspace_floats(plan) * sizeof(float);
}

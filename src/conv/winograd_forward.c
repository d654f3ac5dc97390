/* Forward and input gradient. The input gradient is the forward convolution of dy with the kernel rotated by half a turn, its input
 * and output channels exchanged. */
#include "conv/winograd.h"

#include <omp.h>

#include "vgg11/conv/progress_poll.h"

enum { TAPS = 9, FETCHES_OF_ROWS = 2 };

typedef struct {
    winograd_shape shape;
    winograd_layout source;
    bool transposed; /* input gradient */
    bool bf16;       /* maps of bfloat16 */
    size_t panel;    /* columns of a panel */
    size_t panels;
    size_t tap_stride;    /* floats from tap to tap of packed weights */
    size_t filter_stride; /* words from element to element of transformed weights */
    size_t sum_stride;    /* floats from element to element of summed products */
} forward_pass;

typedef struct {
    float *source; /* elements of the L3 block, of the shard if there are shards */
    float *taps;   /* this thread's packed weights: [tap][channel of the channel block][panel] */
    float *filter; /* this thread's transformed weights: [element][word of channels][panel] */
    float *sums;   /* this thread's summed products: [element][tile of the tile block][panel] */
} forward_memory;

/* The pass over the tiles of `shape`. With several shards each thread has an L3 block of its own; all together they are as large as
 * the one that threads share otherwise. */
static forward_pass forward_pass_of(const conv_plan *plan, const winograd_shape *shape, size_t shards)
{
    forward_pass pass = {.shape = *shape, .transposed = plan->pass == CONV_INPUT_GRAD, .bf16 = plan->flags & CONV_NATIVE_BF16};
    pass.source = winograd_layout_of(&pass.shape, pass.shape.in, WINOGRAD_DEPTH, REDUCE_CHANNELS);
    winograd_set_l3_block(&pass.shape, pass.source.tile_block_stride * shards, 0);
    pass.panel = (size_t)pass.shape.kernels->panel;
    pass.panels = gemm_panels(pass.shape.kernels, pass.shape.out);
    pass.tap_stride = pass.source.channels * pass.panel + WINOGRAD_LINE_FLOATS;
    pass.filter_stride = WINOGRAD_DEPTH * pass.panel + WINOGRAD_LINE_FLOATS;
    pass.sum_stride = pass.shape.block_tiles * pass.panel + WINOGRAD_LINE_FLOATS;
    return pass;
}

static size_t thread_floats(const forward_pass *pass)
{
    return TAPS * pass->tap_stride + (size_t)pass->shape.transforms->elements * (pass->filter_stride + pass->sum_stride);
}

/* The workspace holds the source's elements, once for each shard, and behind them each thread's own buffers. */
static forward_memory memory_of(const forward_pass *pass, void *workspace, size_t shards)
{
    size_t source_floats = winograd_layout_floats(&pass->shape, &pass->source), thread = (size_t)omp_get_thread_num();
    forward_memory memory = {.source = (float *)workspace + (shards > 1 ? thread * source_floats : 0)};
    memory.taps = (float *)workspace + shards * source_floats + thread * thread_floats(pass);
    memory.filter = memory.taps + TAPS * pass->tap_stride;
    memory.sums = memory.filter + (size_t)pass->shape.transforms->elements * pass->filter_stride;
    return memory;
}

/* The weights between a channel block of the source and a panel of the result. In memory the rows of one tap's weights run along
 * the result's channels in forward, and along the source's in the input gradient. */
typedef struct {
    size_t channel; /* the source's first */
    size_t depth;   /* channels of the source */
    size_t column;  /* the result's first channel */
    size_t columns; /* channels of the result */
} filter_block;

static filter_block filter_block_at(const forward_pass *pass, size_t panel, size_t channel_block)
{
    filter_block k = {.channel = channel_block * pass->source.channels, .column = panel * pass->panel};
    k.depth = size_min(pass->shape.in - k.channel, pass->source.channels);
    k.columns = size_min(pass->shape.out - k.column, pass->panel);
    return k;
}

static const float *tap_weights(const forward_pass *pass, const filter_block *k, size_t tap, const float *w)
{
    if (pass->transposed) return w + ((TAPS - 1 - tap) * pass->shape.out + k->column) * pass->shape.in + k->channel;
    return w + (tap * pass->shape.in + k->channel) * pass->shape.out + k->column;
}

/* Forward reads the weights of a whole panel in place; all others are packed first. */
static void transform_filter(const forward_pass *pass, const filter_block *k, const float *w, const forward_memory *memory)
{
    const simd_kernels *kernels = pass->shape.kernels;
    const winograd_transforms *transforms = pass->shape.transforms;
    if (!pass->transposed && k->columns == pass->panel) {
        transforms->transform_filter(memory->filter, pass->filter_stride, tap_weights(pass, k, 0, w),
                                     pass->shape.in * pass->shape.out, k->depth, pass->shape.out);
        return;
    }
    for (size_t tap = 0; tap < TAPS; tap++) {
        float *to = memory->taps + tap * pass->tap_stride;
        if (pass->transposed)
            kernels->pack_transposed(to, tap_weights(pass, k, tap, w), pass->shape.in, k->depth, k->columns);
        else
            kernels->pack(to, tap_weights(pass, k, tap, w), pass->shape.out, k->depth, k->columns);
    }
    transforms->transform_filter(memory->filter, pass->filter_stride, memory->taps, pass->tap_stride, k->depth, pass->panel);
}

/* Lists what the gemm tiles of one element prefetch: a part of one tap's weights of the next filter block, until all are fetched,
 * and the next element's rows of the source. Each gemm tile fetches as many rows as its product is deep. */
static size_t fetch_after(const forward_pass *pass, size_t element, const float *a, const filter_block *next, const float *w,
                          gemm_prefetch *fetches)
{
    size_t rows_floats = WINOGRAD_DEPTH * pass->panel, part = element / TAPS * WINOGRAD_DEPTH, count = 0;
    if (part < next->depth) {
        filter_block from = *next;
        from.channel += part;
        fetches[count++] = gemm_prefetch_block(pass->shape.kernels, tap_weights(pass, &from, element % TAPS, w),
                                               pass->transposed ? pass->shape.in : pass->shape.out, pass->transposed);
    }
    for (size_t i = 0; i < FETCHES_OF_ROWS; i++)
        fetches[count++] = gemm_prefetch_block(pass->shape.kernels, a + pass->source.element_stride + i * rows_floats, pass->panel,
                                               false);
    return count;
}

static void multiply_elements(const forward_pass *pass, vgg_range l3_block, size_t tile_block, size_t channel_block,
                              const filter_block *now, const filter_block *next, const float *w, const forward_memory *memory)
{
    const float *source = memory->source + (tile_block - l3_block.first) * pass->source.tile_block_stride +
                          channel_block * pass->source.channel_block_stride;
    gemm_prefetch fetches[1 + FETCHES_OF_ROWS];
    for (size_t p = 0; p < (size_t)pass->shape.transforms->elements; p++) {
        gemm_tile tile = {.a = source + p * pass->source.element_stride,
                          .a_stride = WINOGRAD_DEPTH,
                          .b = memory->filter + p * pass->filter_stride,
                          .c = memory->sums + p * pass->sum_stride,
                          .c_stride = pass->panel,
                          .depth = winograd_words(&pass->shape, now->depth),
                          .accumulate = channel_block > 0};
        size_t count = fetch_after(pass, p, tile.a, next, w, fetches);
        gemm_by_rows(pass->shape.kernels, &tile, winograd_tile_block(&pass->shape, tile_block).count, fetches, count);
    }
}

static void store_outputs(const forward_pass *pass, size_t tile_block, size_t panel, const float *sums, const conv_arguments *a,
                          const conv_problem *problem)
{
    vgg_range tiles = winograd_tile_block(&pass->shape, tile_block);
    void *result = pass->transposed ? (void *)a->dx : (void *)a->y;
    winograd_maps maps = {result, pass->bf16, NULL, problem->pool && !pass->transposed, pass->shape.out};
    tile_epilogue output = {.relu = problem->relu && !pass->transposed,
                            .bias = pass->transposed ? NULL : a->b + panel * pass->panel};
    for (size_t i = 0; i < tiles.count; i++) {
        map_tile tile = winograd_tile(&pass->shape, &maps, tiles.first + i, panel * pass->panel, pass->panel);
        size_t first = winograd_offset(&pass->shape, &maps, tiles.first + i, panel * pass->panel);
        output.map = (char *)result + winograd_map_bytes(&maps, first);
        output.pool_argmax = maps.pooled && a->pool_argmax ? a->pool_argmax + first : NULL;
        output.positive = pass->transposed && problem->input_is_relu ? (const char *)a->x + winograd_map_bytes(&maps, first) : NULL;
        pass->shape.transforms->inverse_transform_output(&tile, &output, sums + i * pass->panel, pass->sum_stride);
    }
}

/* One panel of the results of one tile block. Where one channel block holds all of the source's channels, the transformed weights
 * of a panel (*packed_panel) serve all tile blocks of the L3 block. */
static void multiply_task(const forward_pass *pass, vgg_range l3_block, size_t task, const conv_arguments *a,
                          const forward_memory *memory, const conv_problem *problem, size_t *packed_panel)
{
    size_t channel_blocks = pass->source.channel_blocks, panel = task / l3_block.count,
           tile_block = l3_block.first + task % l3_block.count;
    for (size_t channel_block = 0; channel_block < channel_blocks; channel_block++) {
        filter_block now = filter_block_at(pass, panel, channel_block);
        size_t next_panel = size_min((task + (channel_block + 1) / channel_blocks) / l3_block.count, pass->panels - 1);
        filter_block next = filter_block_at(pass, next_panel, (channel_block + 1) % channel_blocks);
        if (panel != *packed_panel || channel_blocks > 1) transform_filter(pass, &now, a->w, memory);
        multiply_elements(pass, l3_block, tile_block, channel_block, &now, &next, a->w, memory);
    }
    *packed_panel = panel;
    store_outputs(pass, tile_block, panel, memory->sums, a, problem);
    progress_poll();
}

/* One call of a pass. */
typedef struct {
    const forward_pass *pass;
    const conv_arguments *arguments;
    const conv_problem *problem;
    winograd_maps source;
} forward_call;

/* To be called by all threads, which share the tiles to be transformed and then the tasks, panels x tile blocks. */
static void run_l3_block(const forward_call *call, vgg_range l3_block, const forward_memory *memory)
{
    const forward_pass *pass = call->pass;
    const winograd_transforms *transforms = pass->shape.transforms;
    size_t packed_panel = pass->panels;
    winograd_transform(&pass->shape, &pass->source, l3_block, &call->source, transforms->transform_input, transforms->margin,
                       memory->source);
#pragma omp for schedule(guided)
    for (size_t task = 0; task < pass->panels * l3_block.count; task++)
        multiply_task(pass, l3_block, task, call->arguments, memory, call->problem, &packed_panel);
}

/* All tiles and tasks on the calling thread. */
static void run_l3_block_alone(const forward_call *call, vgg_range l3_block, const forward_memory *memory)
{
    const forward_pass *pass = call->pass;
    const winograd_transforms *transforms = pass->shape.transforms;
    size_t packed_panel = pass->panels;
    winograd_transform_alone(&pass->shape, &pass->source, l3_block, &call->source, transforms->transform_input, transforms->margin,
                             memory->source);
    for (size_t task = 0; task < pass->panels * l3_block.count; task++)
        multiply_task(pass, l3_block, task, call->arguments, memory, call->problem, &packed_panel);
}

/* The pass over the first of `shards` shards, than which none is larger. */
static forward_pass forward_pass_of_shard(const conv_plan *plan, size_t n, size_t shards)
{
    winograd_shape all = winograd_shape_of(plan, n), first = winograd_shard(&all, shards, 0);
    return forward_pass_of(plan, &first, shards);
}

static void run_shard(const forward_call *call, const winograd_shape *shard, const forward_memory *memory)
{
    forward_pass pass = *call->pass;
    size_t l3_tile_blocks = pass.shape.l3_tile_blocks;
    pass.shape = *shard;
    pass.shape.l3_tile_blocks = l3_tile_blocks;
    forward_call own = *call;
    own.pass = &pass;
    for (size_t first = 0; first < pass.shape.tile_blocks; first += l3_tile_blocks)
        run_l3_block_alone(&own, winograd_l3_block(&pass.shape, first), memory);
}

static void run_forward(const conv_plan *plan, const conv_arguments *a)
{
    const winograd_shape all = winograd_shape_of(plan, (size_t)a->n);
    size_t threads = (size_t)plan->problem.threads, shards = winograd_shards_pay(&all, threads) ? threads : 1;
    const forward_pass pass = forward_pass_of_shard(plan, (size_t)a->n, shards);
    forward_call call = {&pass, a, &plan->problem, {a->x, pass.bf16, NULL, false, pass.shape.in}};
    if (pass.transposed) call.source = (winograd_maps){a->dy, pass.bf16, a->pool_argmax, plan->problem.pool, pass.shape.in};
#pragma omp parallel num_threads(plan->problem.threads)
    {
        forward_memory memory = memory_of(&pass, a->workspace, shards);
        if (shards > 1) {
#pragma omp for schedule(static)
            for (size_t i = 0; i < shards; i++) {
                winograd_shape shard = winograd_shard(&all, shards, i);
                run_shard(&call, &shard, &memory);
            }
        } else {
            for (size_t first = 0; first < pass.shape.tile_blocks; first += pass.shape.l3_tile_blocks)
                run_l3_block(&call, winograd_l3_block(&pass.shape, first), &memory);
        }
    }
}

/* Enough with shards and without: a call with fewer images than planned may have shards where one with all of them has none. */
static size_t workspace_floats(const conv_plan *plan)
{
    size_t threads = (size_t)plan->problem.threads, n = (size_t)plan->problem.batch;
    forward_pass whole = forward_pass_of_shard(plan, n, 1), own = forward_pass_of_shard(plan, n, threads);
    size_t whole_floats = winograd_layout_floats(&whole.shape, &whole.source);
    size_t sharded_floats = threads * winograd_layout_floats(&own.shape, &own.source);
    return size_max(whole_floats, sharded_floats) + threads * thread_floats(&whole);
}

void winograd_plan_forward(conv_plan *plan)
{
    plan->run = run_forward;
    plan->workspace_bytes = workspace_floats(plan) * sizeof(float);
}

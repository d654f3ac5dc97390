#include "vgg11/conv/progress_poll.h"
#include "conv/winograd.h"

#include <omp.h>
#include <stdint.h>

enum { PER_WORD_MAX = 2, TAPS = 9, LINE_FLOATS = 16, GROUP_ROW_TILES = 5, WAVE_BYTES = 3 << 20, FETCHES_OF_ROWS = 2 };

/* A share has at least so many tiles for the rows of the kernel; as many images of a share are even enough with one more. */
enum { SHARE_ROW_TILES = 4, ENOUGH_IMAGES = 16 };

size_t winograd_words(const winograd_shape *shape, size_t count)
{
    size_t per_word = (size_t)shape->kernels->per_word;
    return (count + per_word - 1) / per_word;
}

/* Whole words of tiles, so that every tile has its partner in its group, if there is one. */
static void cut_groups(winograd_shape *shape)
{
    shape->group_tiles = (size_t)shape->kernels->rows * GROUP_ROW_TILES;
    if (shape->group_tiles > shape->tiles) shape->group_tiles = shape->tiles;
    shape->group_tiles = winograd_words(shape, shape->group_tiles) * (size_t)shape->kernels->per_word;
    shape->groups = (shape->tiles + shape->group_tiles - 1) / shape->group_tiles;
}

winograd_shape winograd_shape_of(const conv_plan *plan, size_t n)
{
    const conv_problem *p = &plan->problem;
    bool transposed = plan->pass == CONV_INPUT_GRAD;
    const winograd_transforms *form = plan->state;
    winograd_shape s = {.kernels = form->kernels, .form = form, .side = p->side};
    s.in = (size_t)(transposed ? p->out : p->in);
    s.out = (size_t)(transposed ? p->in : p->out);
    s.map_tiles = (size_t)((p->side + s.form->tile - 1) / s.form->tile);
    s.tiles = n * s.map_tiles * s.map_tiles;
    cut_groups(&s);
    return s;
}

bool winograd_shards_pay(const winograd_shape *shape, size_t threads)
{
    size_t per_map = shape->map_tiles * shape->map_tiles, images = shape->tiles / per_map, least = images / threads;
    bool even = images % threads == 0 || least >= ENOUGH_IMAGES;
    return threads > 1 && even && least * per_map >= (size_t)shape->kernels->rows * SHARE_ROW_TILES;
}

winograd_shape winograd_shard(const winograd_shape *shape, size_t parts, size_t index)
{
    winograd_shape share = *shape;
    size_t per_map = shape->map_tiles * shape->map_tiles;
    vgg_range images = range_part(shape->tiles / per_map, parts, index);
    share.first_tile = images.first * per_map;
    share.tiles = images.count * per_map;
    cut_groups(&share);
    return share;
}

winograd_layout winograd_layout_of(const winograd_shape *shape, size_t channels, size_t width, winograd_reduction sum)
{
    size_t per_word = (size_t)shape->kernels->per_word;
    winograd_layout layout = {.width = width, .channels = width, .tiles = 1};
    if (sum == REDUCE_CHANNELS)
        layout.channels *= per_word;
    else
        layout.tiles *= per_word;
    layout.blocks = (channels + layout.channels - 1) / layout.channels;
    layout.point_stride = shape->group_tiles / layout.tiles * width + LINE_FLOATS;
    layout.block_stride = (size_t)shape->form->points * layout.point_stride;
    layout.group_stride = layout.blocks * layout.block_stride;
    return layout;
}

size_t winograd_layout_floats(const winograd_shape *shape, const winograd_layout *layout)
{
    return shape->wave_groups * layout->group_stride;
}

void winograd_set_l3_block(winograd_shape *shape, size_t group_floats, size_t kept_floats)
{
    size_t wave_floats = WAVE_BYTES / sizeof(float);
    size_t groups = (kept_floats > wave_floats ? kept_floats : wave_floats) / group_floats;
    shape->wave_groups = groups < 1 ? 1 : groups < shape->groups ? groups : shape->groups;
}

vgg_range winograd_l3_block(const winograd_shape *shape, size_t first)
{
    size_t left = shape->groups - first;
    return (vgg_range){first, left < shape->wave_groups ? left : shape->wave_groups};
}

vgg_range winograd_tile_block(const winograd_shape *shape, size_t group)
{
    size_t first = group * shape->group_tiles, left = shape->tiles - first;
    return (vgg_range){shape->first_tile + first, left < shape->group_tiles ? left : shape->group_tiles};
}

static size_t map_bytes(const winograd_maps *maps, size_t numbers) { return numbers * (maps->narrow ? sizeof(uint16_t) : sizeof(float)); }

size_t winograd_offset(const winograd_shape *shape, const winograd_maps *maps, size_t index, size_t channel)
{
    size_t side = (size_t)(maps->pooled ? shape->side / 2 : shape->side);
    return index / (shape->map_tiles * shape->map_tiles) * side * side * maps->channels + channel;
}

map_tile winograd_tile(const winograd_shape *shape, const winograd_maps *maps, size_t index, size_t channel, size_t width)
{
    size_t place = index % (shape->map_tiles * shape->map_tiles), left = maps->channels - channel;
    size_t first = winograd_offset(shape, maps, index, channel);
    map_tile tile = {.side = shape->side, .channels = maps->channels, .count = left < width ? left : width};
    tile.map = (const char *)maps->values + map_bytes(maps, first);
    tile.narrow = maps->narrow;
    tile.pooled = maps->pooled;
    tile.chosen = maps->chosen ? maps->chosen + first : NULL;
    tile.row = (int)(place / shape->map_tiles) * shape->form->tile;
    tile.column = (int)(place % shape->map_tiles) * shape->form->tile;
    return tile;
}

/* Row i of the wave: a tile, or as many as make words. Where there is one too few, there are zeros. */
static inline void spread_row(const winograd_shape *shape, const winograd_layout *layout, vgg_range wave, const winograd_maps *maps,
                              winograd_transform_function spread, int margin, float *points, size_t i)
{
    size_t first = i * layout->tiles, group = first / shape->group_tiles;
    size_t row = first % shape->group_tiles / layout->tiles;
    vgg_range tiles = winograd_tile_block(shape, wave.first + group);
    float *to = points + group * layout->group_stride + row * layout->width;
    for (size_t b = 0; b < layout->blocks; b++) {
        map_tile tile[PER_WORD_MAX];
        for (size_t t = 0; t < layout->tiles; t++) {
            size_t at = row * layout->tiles + t;
            bool there = at < tiles.count;
            tile[t] = winograd_tile(shape, maps, tiles.first + (there ? at : 0), b * layout->channels, there ? layout->channels : 0);
            tile[t].row -= margin;
            tile[t].column -= margin;
        }
        spread(to + b * layout->block_stride, layout->point_stride, tile, layout->width);
    }
}

static size_t wave_rows(const winograd_shape *shape, const winograd_layout *layout, vgg_range wave)
{
    size_t tiles = (wave.count - 1) * shape->group_tiles + winograd_tile_block(shape, wave.first + wave.count - 1).count;
    return (tiles + layout->tiles - 1) / layout->tiles;
}

void winograd_transform_alone(const winograd_shape *shape, const winograd_layout *layout, vgg_range wave, const winograd_maps *maps,
                           winograd_transform_function spread, int margin, float *points)
{
    for (size_t i = 0, rows = wave_rows(shape, layout, wave); i < rows; i++)
        spread_row(shape, layout, wave, maps, spread, margin, points, i);
}

void winograd_transform(const winograd_shape *shape, const winograd_layout *layout, vgg_range wave, const winograd_maps *maps,
                     winograd_transform_function spread, int margin, float *points)
{
    size_t rows = wave_rows(shape, layout, wave);
#pragma omp for schedule(guided)
    for (size_t i = 0; i < rows; i++) spread_row(shape, layout, wave, maps, spread, margin, points, i);
}

/* Forward and input gradient: the latter is the former with the kernel turned round and its channels exchanged. */
typedef struct {
    winograd_shape shape;
    winograd_layout source;
    bool transposed;
    bool narrow;          /* maps of bfloat16 */
    size_t panel;
    size_t panels;
    size_t tap_stride;    /* of one block's packed weights */
    size_t kernel_stride; /* of one block's points of the kernel */
    size_t sum_stride;    /* of one panel's summed products, [point][tile of group][panel] */
} gather;

typedef struct {
    float *source;
    float *taps;   /* this thread's, as the next two */
    float *kernel;
    float *sums;
} gather_memory;

/* Of a pass over the shape's tiles; threads with shares of their own have waves that together are as large as a common one. */
static gather gather_of(const conv_plan *plan, const winograd_shape *shape, size_t shares)
{
    gather g = {.shape = *shape, .transposed = plan->pass == CONV_INPUT_GRAD, .narrow = plan->narrow};
    g.source = winograd_layout_of(&g.shape, g.shape.in, WINOGRAD_DEPTH, REDUCE_CHANNELS);
    winograd_set_l3_block(&g.shape, g.source.group_stride * shares, 0);
    g.panel = (size_t)g.shape.kernels->panel;
    g.panels = gemm_panels(g.shape.kernels, g.shape.out);
    g.tap_stride = g.source.channels * g.panel + LINE_FLOATS;
    g.kernel_stride = WINOGRAD_DEPTH * g.panel + LINE_FLOATS;
    g.sum_stride = g.shape.group_tiles * g.panel + LINE_FLOATS;
    return g;
}

static size_t own_floats(const gather *g)
{
    return TAPS * g->tap_stride + (size_t)g->shape.form->points * (g->kernel_stride + g->sum_stride);
}

/* Points of the source, for one of `shares`, lie before what each thread has of its own. */
static gather_memory memory_of(const gather *g, void *workspace, size_t shares)
{
    size_t source_floats = winograd_layout_floats(&g->shape, &g->source), thread = (size_t)omp_get_thread_num();
    gather_memory memory = {.source = (float *)workspace + (shares > 1 ? thread * source_floats : 0)};
    memory.taps = (float *)workspace + shares * source_floats + thread * own_floats(g);
    memory.kernel = memory.taps + TAPS * g->tap_stride;
    memory.sums = memory.kernel + (size_t)g->shape.form->points * g->kernel_stride;
    return memory;
}

/* One block of source channels for one panel of result channels: its weights under one tap lie in rows, along the panel in
 * forward, and down it in the input gradient. */
typedef struct {
    size_t channel;
    size_t depth;
    size_t column;
    size_t columns;
} kernel_block;

static kernel_block kernel_block_at(const gather *g, size_t panel, size_t block)
{
    kernel_block k = {.channel = block * g->source.channels, .column = panel * g->panel};
    k.depth = minimum(g->shape.in - k.channel, g->source.channels);
    k.columns = minimum(g->shape.out - k.column, g->panel);
    return k;
}

static const float *tap_weights(const gather *g, const kernel_block *k, size_t tap, const float *w)
{
    if (g->transposed) return w + ((TAPS - 1 - tap) * g->shape.out + k->column) * g->shape.in + k->channel;
    return w + (tap * g->shape.in + k->channel) * g->shape.out + k->column;
}

/* Whole panels of forward are read where they lie. */
static void transform_filter(const gather *g, const kernel_block *k, const float *w, const gather_memory *memory)
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

/* What the tiles of a point fetch: one tap's part of the weights that come next, until all are fetched, and the next point's
 * rows. A tile fetches as many rows as its product is deep. */
static size_t fetch_after(const gather *g, size_t point, const float *a, const kernel_block *next, const float *w,
                          gemm_prefetch *fetches)
{
    size_t rows_floats = WINOGRAD_DEPTH * g->panel, part = point / TAPS * WINOGRAD_DEPTH, count = 0;
    if (part < next->depth) {
        kernel_block from = *next;
        from.channel += part;
        fetches[count++] = gemm_prefetch_block(g->shape.kernels, tap_weights(g, &from, point % TAPS, w),
                                               g->transposed ? g->shape.in : g->shape.out, g->transposed);
    }
    for (size_t i = 0; i < FETCHES_OF_ROWS; i++)
        fetches[count++] = gemm_prefetch_block(g->shape.kernels, a + g->source.point_stride + i * rows_floats, g->panel, false);
    return count;
}

static void multiply_points(const gather *g, vgg_range wave, size_t group, size_t block, const kernel_block *now,
                            const kernel_block *next, const float *w, const gather_memory *memory)
{
    const float *source =
        memory->source + (group - wave.first) * g->source.group_stride + block * g->source.block_stride;
    gemm_prefetch fetches[1 + FETCHES_OF_ROWS];
    for (size_t p = 0; p < (size_t)g->shape.form->points; p++) {
        gemm_tile tile = {.a = source + p * g->source.point_stride,
                          .a_stride = WINOGRAD_DEPTH,
                          .b = memory->kernel + p * g->kernel_stride,
                          .c = memory->sums + p * g->sum_stride,
                          .c_stride = g->panel,
                          .depth = winograd_words(&g->shape, now->depth),
                          .accumulate = block > 0};
        size_t count = fetch_after(g, p, tile.a, next, w, fetches);
        gemm_by_rows(g->shape.kernels, &tile, winograd_tile_block(&g->shape, group).count, fetches, count);
    }
}

static void collect_outputs(const gather *g, size_t group, size_t panel, const float *sums, const conv_arguments *a,
                            const conv_problem *problem)
{
    vgg_range tiles = winograd_tile_block(&g->shape, group);
    void *result = g->transposed ? (void *)a->dx : (void *)a->y;
    winograd_maps maps = {result, g->narrow, NULL, problem->pool && !g->transposed, g->shape.out};
    tile_epilogue output = {.relu = problem->relu && !g->transposed, .bias = g->transposed ? NULL : a->b + panel * g->panel};
    for (size_t i = 0; i < tiles.count; i++) {
        map_tile tile = winograd_tile(&g->shape, &maps, tiles.first + i, panel * g->panel, g->panel);
        size_t first = winograd_offset(&g->shape, &maps, tiles.first + i, panel * g->panel);
        output.map = (char *)result + map_bytes(&maps, first);
        output.chosen = maps.pooled && a->chosen ? a->chosen + first : NULL;
        output.positive = g->transposed && problem->input_is_relu ? (const char *)a->x + map_bytes(&maps, first) : NULL;
        g->shape.form->inverse_transform_output(&tile, &output, sums + i * g->panel, g->sum_stride);
    }
}

/* Where one block holds all source channels, its kernel serves all groups of the wave. */
static void multiply_unit(const gather *g, vgg_range wave, size_t unit, const conv_arguments *a, const gather_memory *memory,
                          const conv_problem *problem, size_t *packed_panel)
{
    size_t blocks = g->source.blocks, panel = unit / wave.count, group = wave.first + unit % wave.count;
    for (size_t block = 0; block < blocks; block++) {
        kernel_block now = kernel_block_at(g, panel, block);
        size_t next_panel = minimum((unit + (block + 1) / blocks) / wave.count, g->panels - 1);
        kernel_block next = kernel_block_at(g, next_panel, (block + 1) % blocks);
        if (panel != *packed_panel || blocks > 1) transform_filter(g, &now, a->w, memory);
        multiply_points(g, wave, group, block, &now, &next, a->w, memory);
    }
    *packed_panel = panel;
    collect_outputs(g, group, panel, memory->sums, a, problem);
    progress_poll();
}

typedef struct {
    const gather *g;
    const conv_arguments *arguments;
    const conv_problem *problem;
    winograd_maps source;
} gather_work;

/* Every thread some of the tiles, then some of the panels x groups. */
static void run_wave(const gather_work *work, vgg_range wave, const gather_memory *memory)
{
    const gather *g = work->g;
    const winograd_transforms *form = g->shape.form;
    size_t packed_panel = g->panels;
    winograd_transform(&g->shape, &g->source, wave, &work->source, form->transform_input, form->margin, memory->source);
#pragma omp for schedule(guided)
    for (size_t unit = 0; unit < g->panels * wave.count; unit++)
        multiply_unit(g, wave, unit, work->arguments, memory, work->problem, &packed_panel);
}

static void run_wave_alone(const gather_work *work, vgg_range wave, const gather_memory *memory)
{
    const gather *g = work->g;
    const winograd_transforms *form = g->shape.form;
    size_t packed_panel = g->panels;
    winograd_transform_alone(&g->shape, &g->source, wave, &work->source, form->transform_input, form->margin, memory->source);
    for (size_t unit = 0; unit < g->panels * wave.count; unit++)
        multiply_unit(g, wave, unit, work->arguments, memory, work->problem, &packed_panel);
}

/* The first share of `shares`; none is larger. */
static gather gather_of_share(const conv_plan *plan, size_t n, size_t shares)
{
    winograd_shape all = winograd_shape_of(plan, n), first = winograd_shard(&all, shares, 0);
    return gather_of(plan, &first, shares);
}

static void run_share(const gather_work *work, const winograd_shape *share, const gather_memory *memory)
{
    gather g = *work->g;
    size_t wave_groups = g.shape.wave_groups;
    g.shape = *share;
    g.shape.wave_groups = wave_groups;
    gather_work own = *work;
    own.g = &g;
    for (size_t first = 0; first < g.shape.groups; first += wave_groups) run_wave_alone(&own, winograd_l3_block(&g.shape, first), memory);
}

static void run_gather(const conv_plan *plan, const conv_arguments *a)
{
    const winograd_shape all = winograd_shape_of(plan, (size_t)a->n);
    size_t threads = (size_t)plan->problem.threads, shares = winograd_shards_pay(&all, threads) ? threads : 1;
    const gather g = gather_of_share(plan, (size_t)a->n, shares);
    gather_work work = {&g, a, &plan->problem, {a->x, g.narrow, NULL, false, g.shape.in}};
    if (g.transposed) work.source = (winograd_maps){a->dy, g.narrow, a->chosen, plan->problem.pool, g.shape.in};
#pragma omp parallel num_threads(plan->problem.threads)
    {
        gather_memory memory = memory_of(&g, a->workspace, shares);
        if (shares > 1) {
#pragma omp for schedule(static)
            for (size_t i = 0; i < shares; i++) {
                winograd_shape share = winograd_shard(&all, shares, i);
                run_share(&work, &share, &memory);
            }
        } else {
            for (size_t first = 0; first < g.shape.groups; first += g.shape.wave_groups)
                run_wave(&work, winograd_l3_block(&g.shape, first), &memory);
        }
    }
}

/* In shares or not: fewer images than were planned for may be shared out where those are not. */
static size_t workspace_floats(const conv_plan *plan)
{
    size_t threads = (size_t)plan->problem.threads, n = (size_t)plan->problem.batch;
    gather common = gather_of_share(plan, n, 1), own = gather_of_share(plan, n, threads);
    size_t common_floats = winograd_layout_floats(&common.shape, &common.source);
    size_t shares_floats = threads * winograd_layout_floats(&own.shape, &own.source);
    return (common_floats > shares_floats ? common_floats : shares_floats) + threads * own_floats(&common);
}

void winograd_plan(conv_plan *plan, const winograd_transforms *form)
{
    plan->state = (void *)form;
    plan->pools = plan->masks = true;
    plan->narrow = form->kernels->per_word > 1 && plan->problem.bf16_x && plan->problem.bf16_y;
    if (plan->pass == CONV_WEIGHT_GRAD) {
        winograd_plan_weight_grad(plan);
        return;
    }
    plan->run = run_gather;
    plan->workspace_bytes = workspace_floats(plan) * sizeof(float);
}

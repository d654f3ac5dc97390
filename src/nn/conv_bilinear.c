#include "nn/conv_bilinear.h"

#include <omp.h>

enum { TAPS = 9, LINE_FLOATS = 16, GROUP_ROW_TILES = 5 };

bilinear_shape bilinear_shape_of(const conv_plan *plan, size_t n)
{
    const conv_problem *p = &plan->problem;
    bool transposed = plan->pass == CONV_INPUT_GRADIENT;
    bilinear_shape s = {.kernels = simd_kernels_select(), .form = plan->state, .side = p->side};
    s.in = (size_t)(transposed ? p->out : p->in);
    s.out = (size_t)(transposed ? p->in : p->out);
    s.map_tiles = (size_t)((p->side + s.form->tile - 1) / s.form->tile);
    s.tiles = n * s.map_tiles * s.map_tiles;
    s.group_tiles = (size_t)s.kernels->rows * GROUP_ROW_TILES;
    if (s.group_tiles > s.tiles) s.group_tiles = s.tiles;
    s.groups = (s.tiles + s.group_tiles - 1) / s.group_tiles;
    return s;
}

bilinear_layout bilinear_layout_of(const bilinear_shape *shape, size_t channels, size_t width)
{
    bilinear_layout layout = {.channels = channels, .width = width, .blocks = (channels + width - 1) / width};
    layout.point_stride = shape->group_tiles * width + LINE_FLOATS;
    layout.block_stride = (size_t)shape->form->points * layout.point_stride;
    layout.group_stride = layout.blocks * layout.block_stride;
    return layout;
}

size_t bilinear_layout_floats(const bilinear_shape *shape, const bilinear_layout *layout)
{
    return shape->groups * layout->group_stride;
}

vgg_range bilinear_group(const bilinear_shape *shape, size_t group)
{
    size_t first = group * shape->group_tiles, left = shape->tiles - first;
    return (vgg_range){first, left < shape->group_tiles ? left : shape->group_tiles};
}

simd_map_tile bilinear_tile(const bilinear_shape *shape, const float *map, size_t index, size_t channels, size_t channel,
                            size_t width)
{
    size_t per_map = shape->map_tiles * shape->map_tiles, place = index % per_map, left = channels - channel;
    simd_map_tile tile = {.side = shape->side, .channels = channels, .count = left < width ? left : width};
    tile.map = map + index / per_map * (size_t)shape->side * (size_t)shape->side * channels + channel;
    tile.row = (int)(place / shape->map_tiles) * shape->form->tile;
    tile.column = (int)(place % shape->map_tiles) * shape->form->tile;
    return tile;
}

void bilinear_spread(const bilinear_shape *shape, const bilinear_layout *layout, const float *map,
                     bilinear_spread_function spread, int margin, float *points)
{
#pragma omp for schedule(static)
    for (size_t i = 0; i < shape->tiles; i++) {
        size_t group = i / shape->group_tiles, row = i % shape->group_tiles;
        float *to = points + group * layout->group_stride + row * layout->width;
        for (size_t b = 0; b < layout->blocks; b++) {
            simd_map_tile tile = bilinear_tile(shape, map, i, layout->channels, b * layout->width, layout->width);
            tile.row -= margin;
            tile.column -= margin;
            spread(to + b * layout->block_stride, layout->point_stride, &tile, layout->width);
        }
    }
}

/* Forward and input gradient: the latter is the former with the kernel turned round and its channels exchanged. */
typedef struct {
    bilinear_shape shape;
    bilinear_layout source;
    bool transposed;
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

static gather gather_of(const conv_plan *plan, size_t n)
{
    gather g = {.shape = bilinear_shape_of(plan, n), .transposed = plan->pass == CONV_INPUT_GRADIENT};
    g.source = bilinear_layout_of(&g.shape, g.shape.in, BILINEAR_DEPTH);
    g.panel = (size_t)g.shape.kernels->panel;
    g.panels = simd_panels(g.shape.kernels, g.shape.out);
    g.tap_stride = g.kernel_stride = BILINEAR_DEPTH * g.panel + LINE_FLOATS;
    g.sum_stride = g.shape.group_tiles * g.panel + LINE_FLOATS;
    return g;
}

static size_t own_floats(const gather *g)
{
    return TAPS * g->tap_stride + (size_t)g->shape.form->points * (g->kernel_stride + g->sum_stride);
}

static gather_memory memory_of(const gather *g, void *workspace)
{
    gather_memory memory = {.source = workspace};
    memory.taps = memory.source + bilinear_layout_floats(&g->shape, &g->source) +
                  (size_t)omp_get_thread_num() * own_floats(g);
    memory.kernel = memory.taps + TAPS * g->tap_stride;
    memory.sums = memory.kernel + (size_t)g->shape.form->points * g->kernel_stride;
    return memory;
}

static size_t minimum(size_t a, size_t b) { return a < b ? a : b; }

/* The kernel's points for one block of source channels and one panel of result channels. */
static void spread_kernel(const gather *g, const float *w, size_t block, size_t panel, const gather_memory *memory)
{
    size_t in = g->shape.in, out = g->shape.out, channel = block * BILINEAR_DEPTH, column = panel * g->panel;
    size_t depth = minimum(in - channel, BILINEAR_DEPTH), columns = minimum(out - column, g->panel);
    const simd_kernels *kernels = g->shape.kernels;
    for (size_t tap = 0; tap < TAPS; tap++) {
        float *to = memory->taps + tap * g->tap_stride;
        if (g->transposed)
            kernels->pack_transposed(to, w + ((TAPS - 1 - tap) * out + column) * in + channel, in, depth, columns);
        else
            kernels->pack(to, w + (tap * in + channel) * out + column, out, depth, columns);
    }
    g->shape.form->spread_kernel(memory->kernel, g->kernel_stride, memory->taps, g->tap_stride, depth * g->panel);
}

static void multiply_points(const gather *g, size_t group, size_t block, const gather_memory *memory)
{
    const float *source = memory->source + group * g->source.group_stride + block * g->source.block_stride;
    for (size_t p = 0; p < (size_t)g->shape.form->points; p++) {
        simd_tile tile = {.a = source + p * g->source.point_stride,
                          .a_stride = BILINEAR_DEPTH,
                          .b = memory->kernel + p * g->kernel_stride,
                          .c = memory->sums + p * g->sum_stride,
                          .c_stride = g->panel,
                          .depth = minimum(g->shape.in - block * BILINEAR_DEPTH, BILINEAR_DEPTH),
                          .accumulate = block > 0};
        simd_product_by_rows(g->shape.kernels, &tile, bilinear_group(&g->shape, group).count);
    }
}

static void collect_outputs(const gather *g, size_t group, size_t panel, const float *sums, const float *b, bool relu,
                            float *result)
{
    vgg_range tiles = bilinear_group(&g->shape, group);
    for (size_t i = 0; i < tiles.count; i++) {
        simd_map_tile tile = bilinear_tile(&g->shape, result, tiles.first + i, g->shape.out, panel * g->panel, g->panel);
        float *map = result + (tile.map - result);
        g->shape.form->collect_output(&tile, map, sums + i * g->panel, g->sum_stride, b ? b + panel * g->panel : NULL, relu);
    }
}

/* Every thread some of the panels x groups. Where one block holds all source channels, its kernel serves all groups. */
static void multiply_units(const gather *g, const conv_arguments *a, const gather_memory *memory, bool relu)
{
    vgg_range units = range_part(g->panels * g->shape.groups, (size_t)omp_get_num_threads(), (size_t)omp_get_thread_num());
    size_t packed_panel = g->panels;
    for (size_t unit = units.first; unit < units.first + units.count; unit++) {
        size_t panel = unit / g->shape.groups, group = unit % g->shape.groups;
        for (size_t block = 0; block < g->source.blocks; block++) {
            if (panel != packed_panel || g->source.blocks > 1) spread_kernel(g, a->w, block, panel, memory);
            multiply_points(g, group, block, memory);
        }
        packed_panel = panel;
        collect_outputs(g, group, panel, memory->sums, g->transposed ? NULL : a->b, relu, g->transposed ? a->dx : a->y);
    }
}

static void run_gather(const conv_plan *plan, const conv_arguments *a)
{
    gather g = gather_of(plan, (size_t)a->n);
    bool relu = plan->problem.relu && !g.transposed;
#pragma omp parallel num_threads(plan->problem.threads)
    {
        gather_memory memory = memory_of(&g, a->workspace);
        bilinear_spread(&g.shape, &g.source, g.transposed ? a->dy : a->x, g.shape.form->spread_input, g.shape.form->margin,
                        memory.source);
        multiply_units(&g, a, &memory, relu);
    }
}

void bilinear_plan(conv_plan *plan, const simd_bilinear *form)
{
    plan->state = (void *)form;
    if (plan->pass == CONV_WEIGHT_GRADIENT) {
        bilinear_plan_weight_gradient(plan);
        return;
    }
    gather g = gather_of(plan, (size_t)plan->problem.batch);
    size_t own = (size_t)plan->problem.threads * own_floats(&g);
    plan->run = run_gather;
    plan->workspace_bytes = (bilinear_layout_floats(&g.shape, &g.source) + own) * sizeof(float);
}

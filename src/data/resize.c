#include "vgg11/data/resize.h"
#include "vgg11/base/table.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Weights are fixed-point numbers as in Pillow: an 8-bit sum with two bits of head room in 32 bits leaves 22. */
enum { WEIGHT_BITS = 32 - 8 - 2, WEIGHT_ONE = 1 << WEIGHT_BITS };

/* Where a coordinate of the target comes from: `taps` neighbours of the source from first[i] on, weighted by
 * weights[i * taps ...]. All windows have the same length and lie within the source; what a narrower one lacks weighs 0. */
typedef struct {
    int taps;
    int *first;
    int32_t *weights;
} resize_axis;

struct resize_plan {
    const resize_filter *filter;
    int source_rows, source_columns, target_rows, target_columns;
    resize_axis horizontal, vertical;
};

/* A filter's kernel: weight at distance x in source pixels (target pixels when shrinking), zero from `support` on. */
typedef struct {
    double (*weight)(double x);
    double support;
} resize_kernel;

static double triangle(double x) { return fabs(x) < 1.0 ? 1.0 - fabs(x) : 0.0; }

/* Keys' cubic convolution kernel with a = -1/2 ("Cubic convolution interpolation for digital image processing", 1981). */
static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

static const resize_kernel triangle_kernel = {triangle, 1.0};
static const resize_kernel cubic_kernel = {cubic, 2.0};

static vgg_status allocate_axis(int target, int taps, resize_axis *axis)
{
    axis->taps = taps;
    axis->first = calloc((size_t)target, sizeof *axis->first);
    axis->weights = calloc((size_t)target * (size_t)taps, sizeof *axis->weights);
    return axis->first && axis->weights ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "no memory to plan the resizing of images");
}

static int clamp(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

/* Half away from zero, as Pillow rounds its coefficients. */
static int32_t to_fixed_point(double weight) { return (int32_t)(weight * WEIGHT_ONE + (weight < 0 ? -0.5 : 0.5)); }

/* The source coordinates low..high-1 that the kernel covers around the middle of a target coordinate. */
typedef struct {
    double center;
    int low, high;
} resize_window;

/* In the order of operations of Pillow's precompute_coeffs(), here and below: the last bit of a double can decide how a
 * weight rounds. `stretch` is 1 when enlarging; when shrinking, the kernel is that many times wider. */
static resize_window find_window(const resize_kernel *kernel, double stretch, int source, double scale, int index)
{
    double center = (index + 0.5) * scale, support = kernel->support * stretch;
    return (resize_window){center, clamp((int)(center - support + 0.5), 0, source),
                           clamp((int)(center + support + 0.5), 0, source)};
}

static void plan_coordinate(const resize_kernel *kernel, double stretch, resize_window window, int32_t *weights)
{
    double inverse = 1.0 / stretch, sum = 0;
    for (int x = window.low; x < window.high; x++) sum += kernel->weight((x - window.center + 0.5) * inverse);
    for (int x = window.low; x < window.high; x++) {
        double weight = kernel->weight((x - window.center + 0.5) * inverse);
        *weights++ = to_fixed_point(sum != 0 ? weight / sum : weight);
    }
}

static vgg_status plan_axis(const resize_kernel *kernel, int source, int target, resize_axis *axis)
{
    double scale = (double)source / target, stretch = scale < 1.0 ? 1.0 : scale;
    int taps = 1;
    for (int i = 0; i < target; i++) {
        resize_window window = find_window(kernel, stretch, source, scale, i);
        if (window.high - window.low > taps) taps = window.high - window.low;
    }
    VGG_TRY(allocate_axis(target, taps, axis));
    for (int i = 0; i < target; i++) {
        resize_window window = find_window(kernel, stretch, source, scale, i);
        axis->first[i] = clamp(window.low, 0, source - taps);
        plan_coordinate(kernel, stretch, window, axis->weights + i * taps + window.low - axis->first[i]);
    }
    return VGG_OK;
}

static inline uint8_t round_to_byte(int32_t sum)
{
    int32_t value = (sum + WEIGHT_ONE / 2) >> WEIGHT_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static inline void filter_row_by(int taps, const resize_axis *axis, const uint8_t *source, int columns, uint8_t *target)
{
    const int32_t *weights = axis->weights;
    for (int x = 0; x < columns; x++, weights += taps) {
        int32_t sum = 0;
        for (int t = 0; t < taps; t++) sum += source[axis->first[x] + t] * weights[t];
        target[x] = round_to_byte(sum);
    }
}

/* The numbers of taps of bilinear and bicubic enlarging as constants, so that their inner loops are unrolled. */
static void filter_row(const resize_axis *axis, const uint8_t *source, int columns, uint8_t *target)
{
    if (axis->taps == 2)
        filter_row_by(2, axis, source, columns, target);
    else if (axis->taps == 4)
        filter_row_by(4, axis, source, columns, target);
    else
        filter_row_by(axis->taps, axis, source, columns, target);
}

/* One target row from the rows above and below; the inner loops run along the row, which vectorises. */
static void mix_rows(const int32_t *weights, int taps, const uint8_t *source, int columns, uint8_t *target)
{
    int32_t sum[RESIZE_MAX_SIDE];
    for (int x = 0; x < columns; x++) sum[x] = source[x] * weights[0];
    for (int t = 1; t < taps; t++)
        for (int x = 0; x < columns; x++) sum[x] += source[t * columns + x] * weights[t];
    for (int x = 0; x < columns; x++) target[x] = round_to_byte(sum[x]);
}

/* Rounds to bytes between the passes, as Pillow does. */
static void apply_separable(const resize_plan *plan, const uint8_t *source, uint8_t *target)
{
    uint8_t widened[RESIZE_MAX_SIDE * RESIZE_MAX_SIDE];
    int columns = plan->target_columns;
    const resize_axis *vertical = &plan->vertical;
    for (int y = 0; y < plan->source_rows; y++)
        filter_row(&plan->horizontal, source + y * plan->source_columns, columns, widened + y * columns);
    for (int y = 0; y < plan->target_rows; y++)
        mix_rows(vertical->weights + y * vertical->taps, vertical->taps, widened + vertical->first[y] * columns, columns,
                 target + y * columns);
}

static vgg_status prepare_kernel(const resize_kernel *kernel, resize_plan *plan)
{
    VGG_TRY(plan_axis(kernel, plan->source_columns, plan->target_columns, &plan->horizontal));
    return plan_axis(kernel, plan->source_rows, plan->target_rows, &plan->vertical);
}

static vgg_status prepare_bilinear(resize_plan *plan) { return prepare_kernel(&triangle_kernel, plan); }
static vgg_status prepare_bicubic(resize_plan *plan) { return prepare_kernel(&cubic_kernel, plan); }

/* Pillow steps through the source by repeated addition, and so must this: a product may round to another pixel. */
static vgg_status plan_nearest_axis(int source, int target, resize_axis *axis)
{
    VGG_TRY(allocate_axis(target, 1, axis));
    double step = (double)source / target, position = step * 0.5;
    for (int i = 0; i < target; i++, position += step) axis->first[i] = clamp((int)position, 0, source - 1);
    return VGG_OK;
}

static vgg_status prepare_nearest(resize_plan *plan)
{
    VGG_TRY(plan_nearest_axis(plan->source_columns, plan->target_columns, &plan->horizontal));
    return plan_nearest_axis(plan->source_rows, plan->target_rows, &plan->vertical);
}

static void apply_nearest(const resize_plan *plan, const uint8_t *source, uint8_t *target)
{
    for (int y = 0; y < plan->target_rows; y++) {
        const uint8_t *row = source + plan->vertical.first[y] * plan->source_columns;
        for (int x = 0; x < plan->target_columns; x++) *target++ = row[plan->horizontal.first[x]];
    }
}

static vgg_status prepare_pad(resize_plan *plan)
{
    if (plan->source_rows <= plan->target_rows && plan->source_columns <= plan->target_columns) return VGG_OK;
    return vgg_fail(VGG_BAD_OPTION, "resize filter pad cannot shrink an image of %dx%d to %dx%d; bilinear can", plan->source_rows,
                    plan->source_columns, plan->target_rows, plan->target_columns);
}

static void apply_pad(const resize_plan *plan, const uint8_t *source, uint8_t *target)
{
    size_t columns = (size_t)plan->source_columns, width = (size_t)plan->target_columns;
    size_t top = (size_t)(plan->target_rows - plan->source_rows) / 2, left = (width - columns) / 2;
    memset(target, 0, (size_t)plan->target_rows * width);
    for (size_t y = 0; y < (size_t)plan->source_rows; y++) memcpy(target + (top + y) * width + left, source + y * columns, columns);
}

const resize_filter resize_filters[] = {
    {"bilinear", "the default: smooth, and what most MNIST recipes use", prepare_bilinear, apply_separable},
    {"bicubic", "strokes should keep sharp edges", prepare_bicubic, apply_separable},
    {"nearest", "only stored values may occur", prepare_nearest, apply_nearest},
    {"pad", "pixels should stay as they are, in a black frame", prepare_pad, apply_pad},
    {NULL, NULL, NULL, NULL},
};

const resize_filter *resize_find(const char *name) { return table_find(resize_filters, sizeof *resize_filters, name); }

static bool possible_side(int side) { return side >= 1 && side <= RESIZE_MAX_SIDE; }

vgg_status resize_plan_create(const resize_filter *filter, int source_rows, int source_columns, int target_rows, int target_columns,
                              resize_plan **out)
{
    *out = NULL;
    if (!possible_side(source_rows) || !possible_side(source_columns) || !possible_side(target_rows) ||
        !possible_side(target_columns))
        return vgg_fail(VGG_BAD_OPTION, "an image of %dx%d cannot be resized to %dx%d: sides are 1 to %d pixels", source_rows,
                        source_columns, target_rows, target_columns, RESIZE_MAX_SIDE);
    resize_plan *plan = calloc(1, sizeof *plan);
    if (!plan) return vgg_fail(VGG_UNAVAILABLE, "no memory to plan the resizing of images");
    *plan = (resize_plan){.filter = filter,
                          .source_rows = source_rows,
                          .source_columns = source_columns,
                          .target_rows = target_rows,
                          .target_columns = target_columns};
    vgg_status status = filter->prepare(plan);
    if (status == VGG_OK)
        *out = plan;
    else
        resize_plan_free(plan);
    return status;
}

void resize_plan_free(resize_plan *plan)
{
    if (!plan) return;
    free(plan->horizontal.first);
    free(plan->horizontal.weights);
    free(plan->vertical.first);
    free(plan->vertical.weights);
    free(plan);
}

void resize_apply(const resize_plan *plan, const uint8_t *source, uint8_t *target) { plan->filter->apply(plan, source, target); }

/* onednn-bf16: oneDNN's convolution and inner product, which use the matrix tiles (AMX) of CPUs that have them. Maps are plain
 * NHWC: bf16 ones are used in place, fp32 ones are rounded here first. The weights are reordered into the layout of oneDNN's choice
 * when they change, and a weight gradient is reordered back. A primitive has a fixed number of images: fewer images are filled up
 * with zeros, and their results go through the workspace. The ReLU is applied here, since oneDNN's turns NaN into zero.
 */
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vgg11/kernels/bf16.h"
#include "vgg11/base/cpu.h"
#include "vgg11/base/memory.h"
#include "vgg11/conv/conv.h"

/* What the primitives read and write. */
typedef enum { X, DY, BIAS, WEIGHTS, CALLERS_WEIGHTS, RESULT, BIAS_GRADIENT, SCRATCHPAD, MEMORIES } memory_role;

typedef struct {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_memory_desc_t layout[MEMORIES];
    dnnl_memory_t memory[MEMORIES]; /* have no address until a call gives one */
    dnnl_primitive_desc_t description;
    dnnl_primitive_t product;
    dnnl_primitive_t reorder; /* of the weights, to oneDNN's layout or back; NULL if that is the caller's layout */
} library_state;

#define DNNL_TRY(expression)                                         \
    do {                                                             \
        dnnl_status_t dnnl_try_status = (expression);                \
        if (dnnl_try_status != dnnl_success) return dnnl_try_status; \
    } while (0)

/* Sets OpenMP's number of threads, and returns the one before: oneDNN uses so many when it makes a primitive and when it runs
 * one. */
static int hold_threads(int threads)
{
    int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return before;
}

/* Limits oneDNN to the instruction sets of cpu_detect(), which may be fewer than the CPU's. Has an effect before oneDNN's first use
 * only. */
static void hold_instruction_set(void)
{
    const cpu_features *cpu = cpu_detect();
    if (cpu->amx_bf16) return;
    dnnl_set_max_cpu_isa(cpu->avx512_bf16 ? dnnl_cpu_isa_avx512_core_bf16 : dnnl_cpu_isa_avx512_core);
}

static size_t activation_count(const conv_problem *p, int images, int channels)
{
    return (size_t)images * p->side * p->side * channels;
}

static dnnl_status_t describe_activation(dnnl_memory_desc_t *layout, const conv_problem *p, int channels, dnnl_data_type_t type)
{
    const dnnl_dims_t map = {p->batch, channels, p->side, p->side};
    if (p->kernel == 1) return dnnl_memory_desc_init_by_tag(layout, 2, map, type, dnnl_nc);
    return dnnl_memory_desc_init_by_tag(layout, 4, map, type, dnnl_nhwc);
}

/* The caller's layout is (in, out) or HWIO in fp32, which oneDNN calls io and hwio. */
static dnnl_status_t describe_weights(library_state *state, const conv_problem *p, dnnl_data_type_t type)
{
    const dnnl_dims_t kernel = {p->out, p->in, p->kernel, p->kernel};
    int dimensions = p->kernel == 1 ? 2 : 4;
    dnnl_format_tag_t ours = p->kernel == 1 ? dnnl_io : dnnl_hwio;
    DNNL_TRY(dnnl_memory_desc_init_by_tag(&state->layout[CALLERS_WEIGHTS], dimensions, kernel, dnnl_f32, ours));
    return dnnl_memory_desc_init_by_tag(&state->layout[WEIGHTS], dimensions, kernel, type, dnnl_format_tag_any);
}

static dnnl_status_t describe_layouts(library_state *state, const conv_plan *plan)
{
    const conv_problem *p = &plan->problem;
    bool weight_gradient = plan->pass == CONV_WEIGHT_GRAD;
    const dnnl_dims_t bias = {p->out};
    DNNL_TRY(describe_activation(&state->layout[X], p, p->in, dnnl_bf16));
    DNNL_TRY(describe_activation(&state->layout[DY], p, p->out, dnnl_bf16));
    bool forward = plan->pass == CONV_FORWARD;
    dnnl_data_type_t result = (forward ? p->bf16_y : p->bf16_x) ? dnnl_bf16 : dnnl_f32;
    DNNL_TRY(describe_activation(&state->layout[RESULT], p, forward ? p->out : p->in, result));
    DNNL_TRY(dnnl_memory_desc_init_by_tag(&state->layout[BIAS], 1, bias, dnnl_f32, dnnl_x));
    DNNL_TRY(dnnl_memory_desc_init_by_tag(&state->layout[BIAS_GRADIENT], 1, bias, dnnl_f32, dnnl_x));
    return describe_weights(state, p, weight_gradient ? dnnl_f32 : dnnl_bf16);
}

static dnnl_status_t describe_convolution(dnnl_convolution_desc_t *out, conv_pass pass, const dnnl_memory_desc_t *layout)
{
    const dnnl_dims_t one = {1, 1};
    const dnnl_alg_kind_t algorithm = dnnl_convolution_direct;
    switch (pass) {
    case CONV_FORWARD:
        return dnnl_convolution_forward_desc_init(out, dnnl_forward_training, algorithm, &layout[X], &layout[WEIGHTS],
                                                  &layout[BIAS], &layout[RESULT], one, one, one);
    case CONV_INPUT_GRAD:
        return dnnl_convolution_backward_data_desc_init(out, algorithm, &layout[RESULT], &layout[WEIGHTS], &layout[DY], one, one,
                                                        one);
    default:
        return dnnl_convolution_backward_weights_desc_init(out, algorithm, &layout[X], &layout[WEIGHTS], &layout[BIAS_GRADIENT],
                                                           &layout[DY], one, one, one);
    }
}

static dnnl_status_t describe_inner_product(dnnl_inner_product_desc_t *out, conv_pass pass, const dnnl_memory_desc_t *layout)
{
    switch (pass) {
    case CONV_FORWARD:
        return dnnl_inner_product_forward_desc_init(out, dnnl_forward_training, &layout[X], &layout[WEIGHTS], &layout[BIAS],
                                                    &layout[RESULT]);
    case CONV_INPUT_GRAD: return dnnl_inner_product_backward_data_desc_init(out, &layout[RESULT], &layout[WEIGHTS], &layout[DY]);
    default:
        return dnnl_inner_product_backward_weights_desc_init(out, &layout[X], &layout[WEIGHTS], &layout[BIAS_GRADIENT],
                                                             &layout[DY]);
    }
}

static dnnl_status_t describe_product(library_state *state, const conv_plan *plan, dnnl_primitive_attr_t attributes)
{
    union {
        dnnl_convolution_desc_t convolution;
        dnnl_inner_product_desc_t inner_product;
    } operation;
    if (plan->problem.kernel == 1)
        DNNL_TRY(describe_inner_product(&operation.inner_product, plan->pass, state->layout));
    else
        DNNL_TRY(describe_convolution(&operation.convolution, plan->pass, state->layout));
    DNNL_TRY(dnnl_primitive_desc_create(&state->description, &operation, attributes, state->engine, NULL));
    dnnl_query_t weights = plan->pass == CONV_WEIGHT_GRAD ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
    state->layout[WEIGHTS] = *dnnl_primitive_desc_query_md(state->description, weights, 0);
    state->layout[SCRATCHPAD] = *dnnl_primitive_desc_query_md(state->description, dnnl_query_scratchpad_md, 0);
    return dnnl_primitive_create(&state->product, state->description);
}

static dnnl_status_t make_product(library_state *state, const conv_plan *plan)
{
    dnnl_primitive_attr_t attributes;
    DNNL_TRY(dnnl_primitive_attr_create(&attributes));
    dnnl_status_t status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success) status = describe_product(state, plan, attributes);
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

static dnnl_status_t make_reorder(library_state *state, conv_pass pass)
{
    bool back = pass == CONV_WEIGHT_GRAD;
    const dnnl_memory_desc_t *from = &state->layout[back ? WEIGHTS : CALLERS_WEIGHTS];
    const dnnl_memory_desc_t *to = &state->layout[back ? CALLERS_WEIGHTS : WEIGHTS];
    if (dnnl_memory_desc_equal(from, to)) return dnnl_success;
    dnnl_primitive_desc_t description;
    DNNL_TRY(dnnl_reorder_primitive_desc_create(&description, from, state->engine, to, state->engine, NULL));
    dnnl_status_t status = dnnl_primitive_create(&state->reorder, description);
    dnnl_primitive_desc_destroy(description);
    return status;
}

static dnnl_status_t make_state(library_state *state, const conv_plan *plan)
{
    DNNL_TRY(dnnl_engine_create(&state->engine, dnnl_cpu, 0));
    DNNL_TRY(dnnl_stream_create(&state->stream, state->engine, dnnl_stream_default_flags));
    DNNL_TRY(describe_layouts(state, plan));
    DNNL_TRY(make_product(state, plan));
    DNNL_TRY(make_reorder(state, plan->pass));
    for (int i = 0; i < MEMORIES; i++) {
        DNNL_TRY(dnnl_memory_create(&state->memory[i], &state->layout[i], state->engine, DNNL_MEMORY_NONE));
    }
    return dnnl_success;
}

static void close_state(conv_plan *plan)
{
    library_state *state = plan->state;
    for (int i = 0; i < MEMORIES; i++) dnnl_memory_destroy(state->memory[i]);
    dnnl_primitive_destroy(state->reorder);
    dnnl_primitive_destroy(state->product);
    dnnl_primitive_desc_destroy(state->description);
    dnnl_stream_destroy(state->stream);
    dnnl_engine_destroy(state->engine);
    free(state);
    plan->state = NULL;
    plan->close = NULL;
}

/* A planned product can only fail for lack of memory. The program ends then, since a pass has no way to report it. */
static void require(dnnl_status_t status)
{
    if (status == dnnl_success) return;
    fprintf(stderr, "vgg11_dist: oneDNN failed in a planned product: %s\n", dnnl_status2str(status));
    abort();
}

static dnnl_exec_arg_t argument(const library_state *state, int index, memory_role role, const void *address)
{
    require(dnnl_memory_set_data_handle(state->memory[role], (void *)(uintptr_t)address));
    return (dnnl_exec_arg_t){index, state->memory[role]};
}

static void execute(const library_state *state, dnnl_primitive_t primitive, int count, const dnnl_exec_arg_t *arguments)
{
    require(dnnl_primitive_execute(primitive, state->stream, count, arguments));
    require(dnnl_stream_wait(state->stream));
}

static void prepare(conv_plan *plan, const float *w)
{
    const library_state *state = plan->state;
    int before = hold_threads(plan->problem.threads);
    const dnnl_exec_arg_t arguments[] = {argument(state, DNNL_ARG_FROM, CALLERS_WEIGHTS, w),
                                         argument(state, DNNL_ARG_TO, WEIGHTS, plan->packed)};
    execute(state, state->reorder, 2, arguments);
    hold_threads(before);
}

/* Bytes of the parts of the workspace; 0 for a part that the pass does not need. */
typedef struct {
    size_t x;       /* x in bf16, of all images of the plan */
    size_t dy;      /* dy in bf16, of all images of the plan */
    size_t result;  /* of all images of the plan; used by calls of fewer images only */
    size_t weights; /* weight gradient in oneDNN's layout */
    size_t scratchpad;
} workspace_parts;

static size_t aligned(size_t bytes) { return vgg_round_up(bytes, VGG_ALIGNMENT_BYTES); }

static workspace_parts measure_parts(const conv_plan *plan)
{
    const library_state *state = plan->state;
    const dnnl_memory_desc_t *layout = state->layout;
    bool weight_gradient = plan->pass == CONV_WEIGHT_GRAD;
    workspace_parts bytes = {.scratchpad = aligned(dnnl_memory_desc_get_size(&layout[SCRATCHPAD]))};
    if (plan->pass != CONV_INPUT_GRAD) bytes.x = aligned(dnnl_memory_desc_get_size(&layout[X]));
    if (plan->pass != CONV_FORWARD) bytes.dy = aligned(dnnl_memory_desc_get_size(&layout[DY]));
    if (!weight_gradient) bytes.result = aligned(dnnl_memory_desc_get_size(&layout[RESULT]));
    if (weight_gradient && state->reorder) bytes.weights = aligned(dnnl_memory_desc_get_size(&layout[WEIGHTS]));
    return bytes;
}

static char *take(char **space, size_t bytes)
{
    char *part = *space;
    *space += bytes;
    return part;
}

/* The caller's map as oneDNN reads it, in bf16 and for all images of the plan: in place, or else a copy in `space`. */
static const void *take_activation(const conv_problem *p, char *space, const void *in, bool is_bf16, int images, int channels)
{
    size_t given = activation_count(p, images, channels), whole = activation_count(p, p->batch, channels);
    if (is_bf16 && given == whole) return in;
    if (is_bf16)
        memcpy(space, in, given * sizeof(bf16));
    else
        bf16_round_array((bf16 *)space, in, given, p->threads);
    memset((bf16 *)space + given, 0, (whole - given) * sizeof(bf16));
    return space;
}

/* Negative numbers have the sign bit set, and so may NaN, whose bits are above those of infinity. */
static bf16 rectify(bf16 value) { return value > 0x7fff && value <= 0xff80 ? 0 : value; }

static void rectify_result(const conv_problem *p, const conv_arguments *arguments)
{
    size_t count = activation_count(p, arguments->n, p->out);
    if (p->bf16_y) {
#pragma omp parallel for simd num_threads(p->threads) schedule(static)
        for (size_t i = 0; i < count; i++) arguments->y16[i] = rectify(arguments->y16[i]);
    } else {
#pragma omp parallel for simd num_threads(p->threads) schedule(static)
        for (size_t i = 0; i < count; i++) arguments->y[i] = arguments->y[i] < 0 ? 0 : arguments->y[i];
    }
}

/* Forward and input gradient, which read one map and write one. */
static void multiply_activation(const conv_plan *plan, const conv_arguments *given, char *space)
{
    const library_state *state = plan->state;
    const conv_problem *p = &plan->problem;
    const workspace_parts bytes = measure_parts(plan);
    bool forward = plan->pass == CONV_FORWARD, whole = given->n == p->batch;
    int in = forward ? p->in : p->out, out = forward ? p->out : p->in;
    bool bf16_in = forward ? p->bf16_x : p->bf16_y, bf16_out = forward ? p->bf16_y : p->bf16_x;
    const void *from = take_activation(p, take(&space, bytes.x + bytes.dy), forward ? given->x : given->dy, bf16_in, given->n, in);
    void *to = forward ? given->y : given->dx, *spare = take(&space, bytes.result);
    const dnnl_exec_arg_t arguments[] = {
        argument(state, forward ? DNNL_ARG_SRC : DNNL_ARG_DIFF_DST, forward ? X : DY, from),
        argument(state, DNNL_ARG_WEIGHTS, WEIGHTS, plan->packed),
        argument(state, forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_SRC, RESULT, whole ? to : spare),
        argument(state, DNNL_ARG_SCRATCHPAD, SCRATCHPAD, take(&space, bytes.scratchpad)),
        argument(state, DNNL_ARG_BIAS, BIAS, given->b),
    };
    execute(state, state->product, forward ? 5 : 4, arguments);
    if (!whole) memcpy(to, spare, activation_count(p, given->n, out) * (bf16_out ? sizeof(bf16) : sizeof(float)));
    if (forward && p->relu) rectify_result(p, given);
}

static void multiply_weights(const conv_plan *plan, const conv_arguments *given, char *space)
{
    const library_state *state = plan->state;
    const conv_problem *p = &plan->problem;
    const workspace_parts bytes = measure_parts(plan);
    const void *x = take_activation(p, take(&space, bytes.x), given->x, p->bf16_x, given->n, p->in);
    const void *dy = take_activation(p, take(&space, bytes.dy), given->dy, p->bf16_y, given->n, p->out);
    void *dw = bytes.weights > 0 ? take(&space, bytes.weights) : (char *)given->dw;
    const dnnl_exec_arg_t arguments[] = {
        argument(state, DNNL_ARG_SRC, X, x),
        argument(state, DNNL_ARG_DIFF_DST, DY, dy),
        argument(state, DNNL_ARG_DIFF_WEIGHTS, WEIGHTS, dw),
        argument(state, DNNL_ARG_DIFF_BIAS, BIAS_GRADIENT, given->db),
        argument(state, DNNL_ARG_SCRATCHPAD, SCRATCHPAD, take(&space, bytes.scratchpad)),
    };
    execute(state, state->product, 5, arguments);
    if (!state->reorder) return;
    const dnnl_exec_arg_t back[] = {argument(state, DNNL_ARG_FROM, WEIGHTS, dw),
                                    argument(state, DNNL_ARG_TO, CALLERS_WEIGHTS, given->dw)};
    execute(state, state->reorder, 2, back);
}

static void run(const conv_plan *plan, const conv_arguments *arguments)
{
    int before = hold_threads(plan->problem.threads);
    if (plan->pass == CONV_WEIGHT_GRAD)
        multiply_weights(plan, arguments, arguments->workspace);
    else
        multiply_activation(plan, arguments, arguments->workspace);
    hold_threads(before);
}

static vgg_status make_plan(conv_plan *plan)
{
    if (!cpu_detect()->avx512) return vgg_fail(VGG_DECLINED, "needs AVX-512; this CPU has not");
    plan->state = calloc(1, sizeof(library_state));
    if (!plan->state) return vgg_fail(VGG_UNAVAILABLE, "out of memory for a convolution plan");
    plan->close = close_state;
    hold_instruction_set();
    int before = hold_threads(plan->problem.threads);
    dnnl_status_t status = make_state(plan->state, plan);
    hold_threads(before);
    if (status != dnnl_success) {
        close_state(plan);
        return vgg_fail(VGG_DECLINED, "oneDNN has no such product: %s", dnnl_status2str(status));
    }
    const library_state *state = plan->state;
    const workspace_parts bytes = measure_parts(plan);
    plan->workspace_bytes = bytes.x + bytes.dy + bytes.result + bytes.weights + bytes.scratchpad;
    if (plan->pass != CONV_WEIGHT_GRAD) {
        plan->packed_bytes = dnnl_memory_desc_get_size(&state->layout[WEIGHTS]);
        plan->prepare = prepare;
    }
    plan->run = run;
    plan->flags |= CONV_NATIVE_BF16;
    return VGG_OK;
}

/* With matrix tiles (oneDNN 2.6, 16 to 128 images), maps of 8x8 pixels and more take a fifth to three quarters of winograd-bf16's
 * time. Smaller maps and dense layers of few images are slower, since the weights are reordered once a step. The threads of a
 * weight gradient wait for each other in busy loops, which takes long where ranks share cores. */
static bool is_expected(const conv_problem *problem, conv_pass pass)
{
    const int large_map = 8, many_images = 128;
    bool large = problem->kernel == 1 ? problem->batch >= many_images : problem->side >= large_map;
    return cpu_detect()->amx_bf16 && large && (pass != CONV_WEIGHT_GRAD || problem->threads == 1);
}

const conv_algorithm conv_onednn_bf16 = {
    .name = "onednn-bf16",
    .former_name = "bf16-onednn",
    .good_when = "the CPU has matrix tiles (AMX): maps of 8x8 pixels and more, dense layers of many images",
    .precision = PRECISION_BF16,
    .tolerance = {1e-2f, 1e-2f, 1e-2f},
    .expected = is_expected,
    .plan = make_plan,
};

/* The row of matrix tiles: the emulated tile keeps the rules and, where there are real ones, gives their bits; so does the whole
 * row. Against the reference it is tested with all others (test_conv, test_bf16_rows). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conv/direct_bf16_amx.h"
#include "conv/conv_case.h"
#include "support/support.h"
#include "vgg11/base/cpu.h"
#include "vgg11/nn/model.h"

typedef struct {
    bf16 a[AMX_ROWS][AMX_DEPTH];
    bf16 b[AMX_ROWS][AMX_DEPTH];
    float c[AMX_ROWS][AMX_ROWS];
} operands;

/* Tiles 0, 1, 2 as c[rows][columns], a[rows][pairs], b[pairs][columns]. */
static amx_configuration shape_of(int rows, int pairs, int columns)
{
    amx_configuration shape = {.palette = 1, .rows = {(uint8_t)rows, (uint8_t)rows, (uint8_t)pairs}};
    shape.row_bytes[0] = shape.row_bytes[2] = (uint16_t)(4 * columns);
    shape.row_bytes[1] = (uint16_t)(4 * pairs);
    return shape;
}

static void multiply_emulated(const operands *o, const amx_configuration *shape, float result[AMX_ROWS][AMX_ROWS])
{
    amx_emulate_configure(shape);
    amx_emulate_load(0, o->c, AMX_ROW_BYTES);
    amx_emulate_load(1, o->a, AMX_ROW_BYTES);
    amx_emulate_load(2, o->b, AMX_ROW_BYTES);
    amx_emulate_multiply(0, 1, 2);
    amx_emulate_store(0, result, AMX_ROW_BYTES);
    amx_emulate_release();
}

/* Sums of two products each of whole tiles: term k of a[0] and of b[..][0]. */
static float sum_of_products(int count, const float a[], const float b[], float c)
{
    operands o = {.c = {{c}}};
    const amx_configuration whole = amx_whole_tiles();
    float result[AMX_ROWS][AMX_ROWS];
    for (int k = 0; k < count; k++) {
        o.a[0][k] = bf16_round(a[k]);
        o.b[k / 2][k % 2] = bf16_round(b[k]);
    }
    multiply_emulated(&o, &whole, result);
    return result[0][0];
}

/* In another order each of these comes out otherwise. */
START_TEST(even_and_odd_places_are_summed_apart)
{
    const float ones[] = {1, 1, 1, 1}, small = 0x1p-24f;
    ck_assert(sum_of_products(4, (float[]){1, small, 0, small}, ones, 0) == 1 + 0x1p-23f);
    ck_assert(sum_of_products(4, (float[]){1, 0, small, 0}, ones, 0) == 1);
    ck_assert(sum_of_products(4, (float[]){small, small, 0, 0}, ones, 1) == 1 + 0x1p-23f);
    ck_assert(sum_of_products(2, (float[]){1, -1}, ones, small) == small);
}
END_TEST

START_TEST(denormals_count_as_zero)
{
    const float ones[] = {1, 1};
    ck_assert(sum_of_products(1, (float[]){0x1p-130f}, (float[]){0x1p100f}, 0) == 0);
    ck_assert(sum_of_products(1, (float[]){0x1p-100f}, (float[]){0x1p-27f}, 0) == 0);
    ck_assert(sum_of_products(1, (float[]){0}, ones, 0x1p-130f) == 0);
    ck_assert(sum_of_products(2, (float[]){0x1.8p-126f, -0x1p-126f}, ones, 0) == 0);
    ck_assert(sum_of_products(1, (float[]){0x1p-126f}, ones, 0) == 0x1p-126f);
}
END_TEST

START_TEST(what_is_not_finite_stays)
{
    const float ones[] = {1, 1, 1, 1}, big = 0x1p100f;
    ck_assert(isnan(sum_of_products(1, (float[]){NAN}, (float[]){0}, 0)));
    ck_assert(isnan(sum_of_products(2, (float[]){INFINITY, -INFINITY}, ones, 0)));
    ck_assert(isnan(sum_of_products(1, (float[]){INFINITY}, (float[]){0x1p-130f}, 0)));
    ck_assert(sum_of_products(4, (float[]){big, 0, -big, 0}, (float[]){big, 0, big, 0}, 0) == INFINITY);
    ck_assert(isnan(sum_of_products(2, (float[]){big, -big}, (float[]){big, big}, 0)));
    ck_assert(sum_of_products(1, (float[]){big}, (float[]){big}, -0x1p127f) == INFINITY);
}
END_TEST

/* Rows and columns past those of the configuration are neither read nor written; in the register they are zero. */
START_TEST(the_configuration_limits_tiles)
{
    amx_configuration small = shape_of(3, 2, 5);
    unsigned char memory[AMX_ROWS][AMX_ROW_BYTES], out[AMX_ROWS][AMX_ROW_BYTES];
    memset(memory, 1, sizeof memory);
    memset(out, 9, sizeof out);
    amx_emulate_configure(&small);
    amx_emulate_load(0, memory, AMX_ROW_BYTES);
    amx_emulate_store(0, out, AMX_ROW_BYTES);
    for (int i = 0; i < AMX_ROWS; i++) {
        for (int k = 0; k < AMX_ROW_BYTES; k++) ck_assert_int_eq(out[i][k], i < 3 && k < 20 ? 1 : 9);
    }
    amx_emulate_zero(0);
    amx_emulate_store(0, out, AMX_ROW_BYTES);
    ck_assert_int_eq(out[2][19], 0);
    ck_assert_int_eq(out[2][20], 9);
    amx_emulate_release();
}
END_TEST

static bool has_tiles(void) { return cpu_detect()->amx_bf16; }

#ifdef __x86_64__
static uint32_t random_word(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 20);
}

/* Any bits; near 1; products among the least normal numbers; now and then a NaN, infinity or denormal; products that overflow. */
static bf16 random_number(uint64_t *state, int kind)
{
    static const int first[] = {0, 120, 60, 100, 200}, count[] = {0, 14, 8, 40, 55};
    uint32_t word = random_word(state), high = word >> 16;
    int exponent = kind == 0 ? (int)(high % 256) : first[kind] + (int)(high % (uint32_t)count[kind]);
    if (kind == 3 && high % 41 == 0) exponent = high % 2 ? 255 : 0;
    if (kind == 2 && high % 7 == 0) exponent = high % 2 ? 66 : 0;
    return (bf16)((word & 0x807fu) | (unsigned)exponent << 7);
}

static void fill_random(operands *o, uint64_t *state, int kind)
{
    for (int i = 0; i < AMX_ROWS; i++) {
        for (int k = 0; k < AMX_DEPTH; k++) {
            o->a[i][k] = random_number(state, kind);
            o->b[i][k] = random_number(state, kind);
        }
        for (int k = 0; k < AMX_ROWS; k++) {
            uint32_t bits = random_word(state) % 4 ? (uint32_t)random_number(state, kind) << 16 | random_word(state) % 65536 : 0;
            memcpy(&o->c[i][k], &bits, sizeof bits);
        }
    }
}

static void multiply_native(const operands *o, const amx_configuration *shape, float result[AMX_ROWS][AMX_ROWS])
{
    AMX_CONFIGURE(shape);
    AMX_LOAD(0, o->c, AMX_ROW_BYTES);
    AMX_LOAD(1, o->a, AMX_ROW_BYTES);
    AMX_LOAD(2, o->b, AMX_ROW_BYTES);
    AMX_MULTIPLY(0, 1, 2);
    AMX_STORE(0, result, AMX_ROW_BYTES);
    AMX_RELEASE();
}

START_TEST(the_emulation_has_the_processors_bits)
{
    enum { TURNS = 2000, KINDS = 5 };
    uint64_t state = 88172645463325252u;
    if (!has_tiles()) return;
    for (int turn = 0; turn < TURNS; turn++) {
        static operands o;
        static float real[AMX_ROWS][AMX_ROWS], emulated[AMX_ROWS][AMX_ROWS];
        bool whole = turn % 3 > 0;
        amx_configuration shape = shape_of(whole ? 16 : 1 + (int)(random_word(&state) % 16),
                                           whole ? 16 : 1 + (int)(random_word(&state) % 16),
                                           whole ? 16 : 1 + (int)(random_word(&state) % 16));
        fill_random(&o, &state, turn % KINDS);
        memset(real, 7, sizeof real);
        memset(emulated, 7, sizeof emulated);
        multiply_native(&o, &shape, real);
        multiply_emulated(&o, &shape, emulated);
        ck_assert_msg(memcmp(real, emulated, sizeof real) == 0, "turn %d", turn);
    }
}
END_TEST

/* XINUSE says which state components are not in their initial form: 17 and 18 are the tiles'. */
static bool tiles_in_use(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
    return (low & 3u << 17) != 0;
}
#else
START_TEST(the_emulation_has_the_processors_bits) {}
END_TEST

static bool tiles_in_use(void) { return false; }
#endif

static const conv_problem problems[] = {
    {.kernel = 3, .side = 16, .in = 64, .out = 128, .batch = 40, .relu = true, .pool = true, .input_is_relu = true},
    {.kernel = 3, .side = 8, .in = 96, .out = 40, .batch = 19, .relu = true, .input_is_relu = true},
    {.kernel = 3, .side = 4, .in = 72, .out = 70, .batch = 33, .relu = true, .pool = true, .input_is_relu = true},
    {.kernel = 3, .side = 2, .in = 200, .out = 100, .batch = 70, .input_is_relu = true},
    {.kernel = 3, .side = 5, .in = 17, .out = 33, .batch = 5, .relu = true},
    {.kernel = 1, .side = 1, .in = 300, .out = 170, .batch = 65, .relu = true, .input_is_relu = true},
    {.kernel = 1, .side = 1, .in = 1000, .out = 10, .batch = 3},
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

static void open_case(conv_case *c, int index, bool narrow)
{
    conv_problem problem = problems[index];
    problem.bf16_x = problem.bf16_y = narrow;
    conv_case_open(c, &problem, problem.batch, 3);
}

static void check_same(const conv_case *c, const conv_algorithm *one, int threads, const conv_algorithm *other, int other_threads)
{
    for (int pass = 0; pass < CONV_PASSES; pass++) {
        float *a = conv_case_run(c, one, (conv_pass)pass, threads), *b = conv_case_run(c, other, (conv_pass)pass, other_threads);
        ck_assert(a && b);
        ck_assert_msg(memcmp(a, b, conv_case_result_count(c, (conv_pass)pass) * sizeof *a) == 0, "pass %d", pass);
        free(a), free(b);
    }
}

START_TEST(the_row_has_the_same_bits_emulated)
{
    if (!has_tiles()) return;
    for (int narrow = 0; narrow <= 1; narrow++) {
        conv_case c;
        open_case(&c, _i, narrow == 1);
        check_same(&c, conv_algorithm_find("direct-bf16-amx"), 2, &conv_bf16_amx_emulated, 2);
        ck_assert(!tiles_in_use());
        conv_case_close(&c);
    }
}
END_TEST

START_TEST(threads_do_not_show)
{
    conv_case c;
    open_case(&c, _i, true);
    check_same(&c, &conv_bf16_amx_emulated, 1, &conv_bf16_amx_emulated, 3);
    check_same(&c, &conv_bf16_amx_emulated, 1, &conv_bf16_amx_emulated, 8);
    conv_case_close(&c);
}
END_TEST

/* Nor does which images come with an image, but for what is summed over all. */
START_TEST(other_images_do_not_show)
{
    conv_case all, fewer;
    open_case(&all, _i, true);
    fewer = all;
    fewer.n = all.n / 2;
    for (int pass = CONV_FORWARD; pass <= CONV_INPUT_GRAD; pass++) {
        float *a = conv_case_run(&all, &conv_bf16_amx_emulated, (conv_pass)pass, 2);
        float *b = conv_case_run(&fewer, &conv_bf16_amx_emulated, (conv_pass)pass, 2);
        size_t count = conv_case_result_count(&all, (conv_pass)pass) / (size_t)all.n * (size_t)fewer.n;
        ck_assert_msg(memcmp(a, b, count * sizeof *a) == 0, "pass %d", pass);
        free(a), free(b);
    }
    conv_case_close(&all);
}
END_TEST

START_TEST(a_processor_without_tiles_is_told_apart)
{
    const conv_problem problem = {
        .kernel = 1, .side = 1, .in = 64, .out = 64, .batch = 1, .threads = 1, .precision = PRECISION_BF16};
    const conv_algorithm *row = conv_algorithm_find("direct-bf16-amx");
    conv_plan plan;
    if (!row) return;
    ck_assert_int_eq(conv_plan_open(row, &problem, CONV_FORWARD, &plan), has_tiles() ? VGG_OK : VGG_DECLINED);
    if (!has_tiles()) ck_assert(strstr(vgg_message(), "AMX"));
    conv_plan_close(&plan);
}
END_TEST

/* Of all layers but the first, which has one input channel. */
START_TEST(few_products_are_wasted)
{
    double made = 0, least = 0;
    for (int i = 1; i < MODEL_LAYERS; i++) {
        const layer_row *row = &model_layers[i];
        conv_problem problem = {.kernel = row->kind == LAYER_CONV ? 3 : 1, .side = row->side, .in = row->in, .out = row->out};
        double along = problem.kernel == 3 ? 3.0 * row->side - 2 : 1;
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            double products = direct_bf16_amx_products(&problem, (conv_pass)pass, 128),
                   needed = 128 * along * along * row->in * row->out / CONV_TILE_MULTIPLY_ADDS;
            ck_assert(products >= needed);
            made += products;
            least += needed;
        }
    }
    ck_assert_double_lt(made, 1.01 * least);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("amx");
    TCase *tests = tcase_create("amx");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, even_and_odd_places_are_summed_apart);
    tcase_add_test(tests, denormals_count_as_zero);
    tcase_add_test(tests, what_is_not_finite_stays);
    tcase_add_test(tests, the_configuration_limits_tiles);
    tcase_add_test(tests, the_emulation_has_the_processors_bits);
    tcase_add_loop_test(tests, the_row_has_the_same_bits_emulated, 0, PROBLEMS);
    tcase_add_loop_test(tests, threads_do_not_show, 0, PROBLEMS);
    tcase_add_loop_test(tests, other_images_do_not_show, 0, PROBLEMS);
    tcase_add_test(tests, a_processor_without_tiles_is_told_apart);
    tcase_add_test(tests, few_products_are_wasted);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

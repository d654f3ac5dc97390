/* The layer table against the paper's and the sums of its parameters; the flat layout; the initialisers' moments. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "vgg11/nn/initialize.h"
#include "vgg11/nn/model.h"

START_TEST(rows_have_the_published_sizes)
{
    static const struct {
        const char *name;
        size_t parameters;
        int output_side; /* after pooling */
        int out;
    } expected[MODEL_LAYERS] = {
        {"conv1", 640, 16, 64},     {"conv2", 73856, 8, 128},   {"conv3", 295168, 8, 256},  {"conv4", 590080, 4, 256},
        {"conv5", 1180160, 4, 512}, {"conv6", 2359808, 2, 512}, {"conv7", 2359808, 2, 512}, {"conv8", 2359808, 1, 512},
        {"fc1", 2101248, 1, 4096},  {"fc2", 16781312, 1, 4096}, {"fc3", 4097000, 1, 1000},  {"fc4", 10010, 1, 10},
    };
    for (int i = 0; i < MODEL_LAYERS; i++) {
        const layer_row *row = &model_layers[i];
        ck_assert_str_eq(row->name, expected[i].name);
        ck_assert_int_eq(row->out, expected[i].out);
        ck_assert_int_eq(row->pool ? row->side / 2 : row->side, expected[i].output_side);
        ck_assert_uint_eq(model_tensors()[2 * i].count + model_tensors()[2 * i + 1].count, expected[i].parameters);
        ck_assert_int_eq(row->relu, i + 1 < MODEL_LAYERS);
    }
}
END_TEST

START_TEST(each_layer_reads_what_the_one_before_writes)
{
    int side = MODEL_SIDE, channels = 1;
    for (int i = 0; i < MODEL_LAYERS; i++) {
        const layer_row *row = &model_layers[i];
        ck_assert_int_eq(row->side, side);
        ck_assert_int_eq(row->in, channels);
        channels = row->out;
        side = row->pool ? side / 2 : side;
    }
    ck_assert_int_eq(channels, MODEL_CLASSES);
}
END_TEST

START_TEST(tensors_fill_the_flat_buffer_in_order)
{
    size_t end = 0, total = 0;
    for (int t = 0; t < MODEL_TENSORS; t++) {
        const tensor_view *view = &model_tensors()[t];
        size_t product = 1;
        for (int i = 0; i < view->rank; i++) product *= view->shape[i];
        ck_assert_uint_eq(view->count, product);
        ck_assert_uint_eq(view->offset % 16, 0);
        ck_assert_uint_ge(view->offset, end);
        ck_assert_uint_lt(view->offset - end, 16);
        ck_assert_int_eq(view->kernel, t % 2 == 0);
        end = view->offset + view->count;
        total += view->count;
    }
    ck_assert_uint_eq(total, MODEL_PARAMETERS);
    ck_assert_uint_eq(model_flat_count() % 16, 0);
    ck_assert_uint_ge(model_flat_count(), end);
    ck_assert_uint_lt(model_flat_count() - end, 16);
}
END_TEST

START_TEST(names_shapes_and_fans)
{
    const tensor_view *kernel = &model_tensors()[2], *dense = &model_tensors()[16], *bias = &model_tensors()[23];
    ck_assert_str_eq(kernel->name, "conv2.kernel");
    ck_assert_int_eq(kernel->rank, 4);
    ck_assert_uint_eq(kernel->shape[2], 64);
    ck_assert_uint_eq(kernel->shape[3], 128);
    ck_assert_int_eq(kernel->fan_in, 9 * 64);
    ck_assert_int_eq(kernel->fan_out, 9 * 128);
    ck_assert_str_eq(dense->name, "fc1.kernel");
    ck_assert_int_eq(dense->rank, 2);
    ck_assert_int_eq(dense->fan_in, 512);
    ck_assert_int_eq(dense->fan_out, 4096);
    ck_assert_str_eq(bias->name, "fc4.bias");
    ck_assert_int_eq(bias->rank, 1);
}
END_TEST

static float *filled(const char *name, uint64_t seed)
{
    float *weights = malloc(model_flat_count() * sizeof *weights);
    ck_assert_ptr_nonnull(weights);
    memset(weights, 0xFF, model_flat_count() * sizeof *weights);
    initializer_find(name)->fill(seed, weights);
    return weights;
}

static size_t not_zero(const float *values, size_t first, size_t end)
{
    size_t count = 0;
    for (size_t i = first; i < end; i++) count += values[i] != 0;
    return count;
}

/* Mean and variance of each kernel within six standard errors of `variance(view)`, biases and padding zero. */
static void check_moments(const float *weights, double (*variance)(const tensor_view *), double excess)
{
    size_t end = 0;
    for (int t = 0; t < MODEL_TENSORS; t++) {
        const tensor_view *view = &model_tensors()[t];
        double sum = 0, squares = 0, count = (double)view->count, expected = view->kernel ? variance(view) : 0;
        ck_assert_uint_eq(not_zero(weights, end, view->offset), 0);
        for (size_t i = 0; i < view->count; i++) {
            double value = weights[view->offset + i];
            sum += value;
            squares += value * value;
        }
        ck_assert_msg(fabs(sum / count) <= 6 * sqrt(expected / count), "%s: mean %g", view->name, sum / count);
        ck_assert_msg(fabs(squares / count - expected) <= 6 * expected * sqrt(excess / count), "%s: variance %g, expected %g",
                      view->name, squares / count, expected);
        end = view->offset + view->count;
    }
    ck_assert_uint_eq(not_zero(weights, end, model_flat_count()), 0);
}

static double he_variance(const tensor_view *view) { return 2.0 / view->fan_in; }

static double glorot_variance(const tensor_view *view) { return 2.0 / (view->fan_in + view->fan_out); }

START_TEST(he_has_its_variance)
{
    float *weights = filled("he", 7);
    check_moments(weights, he_variance, 2.0); /* E[x^4]/variance^2 - 1 of the normal distribution */
    free(weights);
}
END_TEST

START_TEST(glorot_has_its_variance_and_its_limit)
{
    float *weights = filled("glorot", 7);
    check_moments(weights, glorot_variance, 0.8); /* the same of the uniform distribution */
    for (int t = 0; t < MODEL_TENSORS; t += 2) {
        const tensor_view *view = &model_tensors()[t];
        float largest = 0;
        for (size_t i = 0; i < view->count; i++) largest = fmaxf(largest, fabsf(weights[view->offset + i]));
        ck_assert_float_le(largest, (float)sqrt(6.0 / (view->fan_in + view->fan_out)));
    }
    free(weights);
}
END_TEST

/* What a kernel gives to output `out` for the pair of inputs `in` and its partner, of which one is z and the other 0 after a ReLU: w z where
 * z > 0 and -w' z where not, the same for both signs if w' = -w; and the partner of the output is to give the opposite. */
static void check_mirrored(const tensor_view *view, const float *kernel, bool inputs, bool outputs)
{
    size_t in = view->shape[view->rank - 2], out = view->shape[view->rank - 1], wrong = 0;
    for (size_t i = 0; i < view->count; i++) {
        size_t row = i / out, partner_row = row % in < in / 2 ? row + in / 2 : row - in / 2;
        size_t column = i % out, partner_column = (column + out / 2) % out;
        wrong += inputs && kernel[partner_row * out + column] != -kernel[i];
        wrong += outputs && kernel[row * out + partner_column] != -kernel[i];
    }
    ck_assert_msg(wrong == 0, "%s: %zu of %zu weights are not mirrored", view->name, wrong, view->count);
}

/* Each weight is there up to four times, which takes as many times the variance from sums. */
START_TEST(looks_linear_is_mirrored_and_has_the_variance_of_he)
{
    float *weights = filled("looks-linear", 7);
    check_moments(weights, he_variance, 4 * 2.0);
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        const tensor_view *view = &model_tensors()[2 * layer];
        check_mirrored(view, weights + view->offset, layer > 0, layer < MODEL_LAYERS - 1);
    }
    free(weights);
}
END_TEST

static double small_variance(const tensor_view *view)
{
    const double last = 2 * (MODEL_LAYERS - 1), lacking = pow(INITIALIZER_SMALL, MODEL_LAYERS - 2);
    const double at = (double)(view - model_tensors());
    const double scale = at == 0 ? INITIALIZER_FEATURES / lacking : at == last ? 0 : INITIALIZER_SMALL;
    return he_variance(view) * scale * scale;
}

START_TEST(small_ones_are_mirrored_behind_the_second_layer)
{
    float *weights = filled("looks-linear-small", 7);
    check_moments(weights, small_variance, 4 * 2.0);
    for (int layer = 1; layer < MODEL_LAYERS - 1; layer++) {
        const tensor_view *view = &model_tensors()[2 * layer];
        check_mirrored(view, weights + view->offset, layer > 1, true);
    }
    free(weights);
}
END_TEST

START_TEST(a_seed_gives_its_bits_and_no_others)
{
    for (const initializer *row = initializers; row->name; row++) {
        float *a = filled(row->name, 1), *b = filled(row->name, 1), *c = filled(row->name, 2);
        size_t bytes = model_flat_count() * sizeof *a;
        const tensor_view *conv7 = &model_tensors()[12], *conv8 = &model_tensors()[14];
        ck_assert(memcmp(a, b, bytes) == 0);
        ck_assert(memcmp(a, c, bytes) != 0);
        ck_assert(memcmp(a + conv7->offset, a + conv8->offset, conv7->count * sizeof *a) != 0);
        free(a), free(b), free(c);
    }
    ck_assert_ptr_null(initializer_find("nonesuch"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model");
    TCase *table = tcase_create("table"), *weights = tcase_create("initial weights");
    tcase_add_test(table, rows_have_the_published_sizes);
    tcase_add_test(table, each_layer_reads_what_the_one_before_writes);
    tcase_add_test(table, tensors_fill_the_flat_buffer_in_order);
    tcase_add_test(table, names_shapes_and_fans);
    tcase_set_timeout(weights, 0);
    tcase_add_test(weights, he_has_its_variance);
    tcase_add_test(weights, glorot_has_its_variance_and_its_limit);
    tcase_add_test(weights, looks_linear_is_mirrored_and_has_the_variance_of_he);
    tcase_add_test(weights, small_ones_are_mirrored_behind_the_second_layer);
    tcase_add_test(weights, a_seed_gives_its_bits_and_no_others);
    suite_add_tcase(suite, table);
    suite_add_tcase(suite, weights);
    return support_run(suite, NULL);
}

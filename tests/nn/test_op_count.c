/* How much work each layer is. */
#include "support/support.h"
#include "vgg11/nn/model.h"
#include "vgg11/nn/op_count.h"

/* Kernel positions that meet an input pixel, counted one by one. */
static double count_taps(int side)
{
    double taps = 0;
    for (int y = 0; y < side; y++) {
        for (int x = 0; x < side; x++) {
            for (int r = -1; r <= 1; r++) {
                for (int s = -1; s <= 1; s++) taps += y + r >= 0 && y + r < side && x + s >= 0 && x + s < side;
            }
        }
    }
    return taps;
}

START_TEST(products_with_padding_do_not_count)
{
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        const layer_row *row = &model_layers[layer];
        double taps = row->kind == LAYER_CONV ? count_taps(row->side) : 1;
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            op_count work = op_count_of_layer(layer, (conv_pass)pass, 3, 1, PRECISION_FP32);
            ck_assert_double_eq(work.flops, 2.0 * 3 * taps * row->in * row->out);
        }
    }
}
END_TEST

START_TEST(weights_move_once_a_rank_and_activations_once)
{
    const int fc2 = 9;
    double kernel = 4096.0 * 4096, map = 4096;
    op_count forward = op_count_of_layer(fc2, CONV_FORWARD, 8, 2, PRECISION_FP32);
    ck_assert_double_eq(forward.bytes_read, 4 * (2 * kernel + 8 * map));
    ck_assert_double_eq(forward.bytes_written, 4 * 8 * map);
    op_count gradient = op_count_of_layer(fc2, CONV_WEIGHT_GRAD, 8, 2, PRECISION_BF16);
    ck_assert_double_eq(gradient.bytes_read, 2 * 2 * 8 * map);
    ck_assert_double_eq(gradient.bytes_written, 4 * 2 * kernel);
}
END_TEST

START_TEST(a_pooled_map_leaves_a_layer_at_a_quarter)
{
    const int conv2 = 1;
    op_count forward = op_count_of_layer(conv2, CONV_FORWARD, 1, 1, PRECISION_FP32);
    ck_assert_double_eq(forward.bytes_written, 4.0 * 8 * 8 * 128);
    op_count backward = op_count_of_layer(conv2, CONV_INPUT_GRAD, 1, 1, PRECISION_FP32);
    ck_assert_double_eq(backward.bytes_written, 4.0 * 16 * 16 * 64);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("op_count");
    TCase *tests = tcase_create("op_count");
    tcase_add_test(tests, products_with_padding_do_not_count);
    tcase_add_test(tests, weights_move_once_a_rank_and_activations_once);
    tcase_add_test(tests, a_pooled_map_leaves_a_layer_at_a_quarter);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

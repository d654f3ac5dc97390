/* The work of exchange and update, and what limits allow for it and for the layers. */
#include "bench/result.h"
#include "support/support.h"

START_TEST(one_rank_moves_five_streams)
{
    const bool whole[MODEL_LAYERS] = {false}, fc2_in_factors[MODEL_LAYERS] = {[9] = true};
    double buffer = 4.0 * (double)model_flat_count();
    ck_assert_double_eq(op_count_bytes(op_count_of_exchange_and_update(1, 1, whole)), 5 * buffer);
    ck_assert_double_eq(op_count_bytes(op_count_of_exchange_and_update(8, 2, whole)), (8 + 4 * 2) * buffer);
    ck_assert_double_eq(op_count_bytes(op_count_of_exchange_and_update(8, 1, fc2_in_factors)),
                        (8 + 4) * buffer - 8 * 4.0 * 4096 * 4096);
    ck_assert_double_eq(op_count_of_factors(9, 32, 2, PRECISION_FP32).bytes_written, 0);
}
END_TEST

static const machine_peaks made_up = {.fp32_flops = 100, .bf16_flops = 200, .read_bytes = 10, .copy_bytes = 8, .update_bytes = 20};

START_TEST(the_slower_of_arithmetic_and_traffic_limits)
{
    ck_assert_double_eq(layer_limit_s(&made_up, PRECISION_FP32, (op_count){.flops = 1000, .bytes_read = 10}), 10);
    ck_assert_double_eq(layer_limit_s(&made_up, PRECISION_BF16, (op_count){.flops = 1000, .bytes_read = 10}), 5);
    ck_assert_double_eq(layer_limit_s(&made_up, PRECISION_FP32, (op_count){.flops = 10, .bytes_read = 100}), 10);
    ck_assert_double_eq(layer_limit_s(&made_up, PRECISION_FP32, (op_count){.flops = 10, .bytes_written = 100}), 5);
    ck_assert_double_eq(update_limit_s(&made_up, (op_count){.bytes_read = 60, .bytes_written = 40}), 5);
}
END_TEST

START_TEST(without_bf16_instructions_fp32_is_the_limit)
{
    machine_peaks limits = made_up;
    limits.bf16_flops = 0;
    ck_assert_double_eq(op_count_peak_flops(&limits, PRECISION_BF16), 100);
    ck_assert_double_eq(op_count_peak_flops(&made_up, PRECISION_BF16), 200);
    ck_assert_double_eq(op_count_peak_flops(&made_up, PRECISION_FP32), 100);
}
END_TEST

START_TEST(medians_of_odd_and_even_counts)
{
    measurement m = {.limit_s = 1};
    measurement_take(&m, (double[]){5, 1, 2}, 3);
    ck_assert_double_eq(m.median_s, 2);
    measurement_take(&m, (double[]){8, 1, 2, 6}, 4);
    ck_assert_double_eq(m.median_s, 4);
    ck_assert_double_eq(m.least_s, 1);
    ck_assert_double_eq(m.most_s, 8);
    ck_assert_double_eq(measurement_fraction(&m), 0.25);
}
END_TEST

START_TEST(step_limits_add_up)
{
    bench_result result = {.ranks = 1, .nodes = 1, .peaks = made_up};
    bench_config config = {.step = {.batch_size = 4, .network = {.precision = PRECISION_FP32}}};
    double sum = 0;
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) result.layers[layer][pass].median_s = layer > 0 || pass != CONV_INPUT_GRAD;
    }
    bench_set_limits(&config, &result);
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) sum += result.layers[layer][pass].limit_s;
    }
    ck_assert_double_eq(result.layers[0][CONV_INPUT_GRAD].limit_s, 0);
    sum += op_count_bytes(op_count_of_exchange_and_update(1, 1, result.in_update)) / made_up.update_bytes;
    ck_assert_double_eq_tol(result.step[STEP_WHOLE].limit_s, sum, 1e-9 * sum);
    ck_assert_double_eq_tol(result.step[STEP_WHOLE].ops.flops,
                            result.step[STEP_FORWARD].ops.flops + result.step[STEP_BACKWARD].ops.flops, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("work");
    TCase *tests = tcase_create("work");
    tcase_add_test(tests, one_rank_moves_five_streams);
    tcase_add_test(tests, the_slower_of_arithmetic_and_traffic_limits);
    tcase_add_test(tests, without_bf16_instructions_fp32_is_the_limit);
    tcase_add_test(tests, medians_of_odd_and_even_counts);
    tcase_add_test(tests, step_limits_add_up);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

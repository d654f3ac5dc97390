/* The machine's limits, and the loops that measure them. */
#include <math.h>

#include "bench/peak_flops.h"
#include "bench/machine_peaks.h"
#include "support/ranks.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/memory.h"
#include "vgg11/conv/conv.h"

START_TEST(kernels_end_in_ordinary_numbers)
{
    for (const peak_flops_kernel *kernel = peak_flops_kernels; kernel->name; kernel++) {
        if (!kernel->available(cpu_detect())) continue;
        for (uint64_t rounds = 1; rounds < 100000; rounds *= 10) {
            float sum = kernel->run(rounds);
            ck_assert_msg(isnormal(sum), "%s after %d rounds: %g", kernel->name, (int)rounds, (double)sum);
        }
        ck_assert_double_gt(kernel->flops_per_round, 0);
    }
}
END_TEST

static bool known_kernel(const char *name, vgg_precision precision)
{
    for (const peak_flops_kernel *kernel = peak_flops_kernels; kernel->name; kernel++) {
        if (kernel->name == name) return kernel->precision == precision;
    }
    return false;
}

START_TEST(limits_are_positive_and_the_same_everywhere)
{
    machine_peaks limits = {0};
    ck_assert_int_eq(machine_peaks_measure(ranks, 2, MACHINE_PEAKS_CAREFUL, &limits), VGG_OK);
    const double rates[] = {limits.fp32_flops, limits.read_bytes, limits.copy_bytes, limits.update_bytes, limits.bf16_flops};
    for (int i = 0; i < 4; i++) ck_assert_msg(isfinite(rates[i]) && rates[i] > 0, "rate %d is %g", i, rates[i]);
    for (int i = 0; i < 5; i++) ck_assert_double_eq(comm_max(ranks, rates[i]), rates[i]);
    ck_assert(known_kernel(limits.fp32_kernel, PRECISION_FP32));
    ck_assert(limits.bf16_flops > 0 ? known_kernel(limits.bf16_kernel, PRECISION_BF16) : limits.bf16_kernel == NULL);
    ck_assert_uint_gt(limits.array_bytes, cpu_cache_bytes(3));
    ck_assert_double_ge(machine_bandwidth(&limits), limits.copy_bytes);
}
END_TEST

/* Loops that keep their sums in memory are no limit for anything, nor are those that check each access. */
static bool is_optimised(void)
{
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
    return true;
#else
    return false;
#endif
}

/* Operations a second of a matrix product on one thread: the best of short trials, as the limit is. */
static double product_flops(void)
{
    enum { IMAGES = 256, CHANNELS = 512, TRIALS = 60 };
    const conv_problem problem = {.kernel = 1, .side = 1, .in = CHANNELS, .out = CHANNELS, .batch = IMAGES, .threads = 1};
    conv_plan plan;
    vgg_arena arena = {0};
    const size_t map_bytes = sizeof(float) * IMAGES * CHANNELS, kernel_bytes = sizeof(float) * CHANNELS * CHANNELS;
    ck_assert_int_eq(conv_plan_open(conv_algorithm_find("direct"), &problem, CONV_FORWARD, &plan), VGG_OK);
    const size_t sizes[] = {map_bytes, kernel_bytes, CHANNELS * sizeof(float), map_bytes, plan.workspace_bytes};
    for (int i = 0; i < 5; i++) arena_reserve(&arena, sizes[i]);
    ck_assert_int_eq(arena_open(&arena), VGG_OK);
    float *x = arena_take(&arena, sizes[0]), *w = arena_take(&arena, sizes[1]);
    support_fill(x, map_bytes / sizeof *x, 1);
    support_fill(w, kernel_bytes / sizeof *w, 2);
    conv_arguments arguments = {.x = x,
                                .w = w,
                                .b = arena_take(&arena, sizes[2]),
                                .y = arena_take(&arena, sizes[3]),
                                .n = IMAGES,
                                .workspace = arena_take(&arena, sizes[4])};
    double best_s = INFINITY;
    for (int trial = 0; trial < TRIALS; trial++) {
        double start = clock_now_s();
        conv_plan_run(&plan, &arguments);
        best_s = fmin(best_s, clock_now_s() - start);
    }
    arena_close(&arena);
    conv_plan_close(&plan);
    return 2.0 * IMAGES * CHANNELS * CHANNELS / best_s;
}

/* A product does nearly what the processor can, and never more. Both are counts over the best times found in one run. Other work on
 * the machine can spoil either, so a limit that looks too low gets further tries. */
START_TEST(the_peak_is_not_below_a_matrix_product)
{
    enum { TRIES = 4 };
    const double share = 0.8;
    machine_peaks limits = {0};
    if (!is_optimised() || comm_size(ranks) > 1) return;
    double product = product_flops();
    for (int i = 0; i < TRIES && limits.fp32_flops < share * product; i++)
        ck_assert_int_eq(machine_peaks_measure(ranks, 1, MACHINE_PEAKS_QUICK, &limits), VGG_OK);
    ck_assert_msg(limits.fp32_flops >= share * product, "a peak of %g, but a product runs at %g", limits.fp32_flops, product);
}
END_TEST

START_TEST(limits_only_rise)
{
    const double beyond = 1e30;
    machine_peaks limits = {.fp32_flops = beyond, .fp32_kernel = "before", .read_bytes = beyond};
    ck_assert_int_eq(machine_peaks_measure(ranks, 1, MACHINE_PEAKS_QUICK, &limits), VGG_OK);
    ck_assert_double_eq(limits.fp32_flops, beyond);
    ck_assert_str_eq(limits.fp32_kernel, "before");
    ck_assert_double_eq(limits.read_bytes, beyond);
    ck_assert_double_gt(limits.copy_bytes, 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("limits");
    TCase *tests = tcase_create("limits");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, kernels_end_in_ordinary_numbers);
    tcase_add_test(tests, limits_are_positive_and_the_same_everywhere);
    tcase_add_test(tests, the_peak_is_not_below_a_matrix_product);
    tcase_add_test(tests, limits_only_rise);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

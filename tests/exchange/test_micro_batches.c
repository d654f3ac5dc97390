/* --micro-batches over real ranks: the sum over micro-batches, to the bit, whatever the number of ranks. */
#include "support/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vgg11/exchange/exchange.h"

enum { COUNT = 3 << 19, SLICES_MAX = 16 };
static const vgg_range segments[] = {{0, 100}, {112, 900000}, {900112, COUNT - 900112}};
enum { SEGMENTS = sizeof segments / sizeof segments[0] };

static void fill_slice(float *gradient, int micro_batch, int step)
{
    memset(gradient, 0, COUNT * sizeof *gradient);
    for (int i = 0; i < SEGMENTS; i++)
        support_fill(gradient + segments[i].first, segments[i].count, (unsigned)(1000 * step + 10 * micro_batch + i));
}

/* sum[COUNT] of micro-batches first .. first+count-1, by the definition of the tree. */
static void reference_tree(float *sum, int first, int count, int step)
{
    if (count == 1) {
        fill_slice(sum, first, step);
        return;
    }
    float *right = malloc(COUNT * sizeof *right);
    reference_tree(sum, first, count / 2, step);
    reference_tree(right, first + count / 2, count / 2, step);
    for (size_t i = 0; i < COUNT; i++) sum[i] += right[i];
    free(right);
}

static void give_slices(exchange *ex, int step)
{
    vgg_range mine = exchange_micro_batches(ex);
    exchange_begin(ex);
    for (int index = 0; index < (int)mine.count; index++) {
        fill_slice(exchange_micro_batch_gradient(ex, index), (int)mine.first + index, step);
        for (size_t end = COUNT, piece = 1000 + (size_t)step; end > 0; piece = 2 * piece + 1) {
            size_t length = piece < end ? piece : end;
            exchange_micro_batch_range_final(ex, index, end - length, length);
            exchange_poll(ex);
            end -= length;
        }
    }
    exchange_finish(ex);
}

static void check_row(const char *name, int micro_batches, int threads)
{
    exchange_config config = {.name = name,
                              .count = COUNT,
                              .segments = segments,
                              .segment_count = SEGMENTS,
                              .threads = threads,
                              .micro_batches = micro_batches};
    exchange *ex;
    ranks_assert(exchange_create(ranks, &config, &ex) == VGG_OK, vgg_message());
    vgg_range mine = exchange_micro_batches(ex);
    ranks_assert((int)mine.count * comm_size(ranks) == micro_batches, "micro-batches are shared out");
    uint64_t held = ((UINT64_C(1) << mine.count) - 1) << mine.first;
    comm_sum_u64(ranks, &held, 1);
    ranks_assert(held == (UINT64_C(1) << micro_batches) - 1, "each slice has one rank");

    float *expected = malloc(COUNT * sizeof *expected);
    for (int step = 0; step < 2; step++) {
        reference_tree(expected, 0, micro_batches, step);
        give_slices(ex, step);
        vgg_range owned = exchange_owned(ex);
        const float *sum = exchange_gradient(ex);
        ranks_assert(memcmp(sum + owned.first, expected + owned.first, owned.count * sizeof *sum) == 0, "sum, to the bit");
        double sums[SEGMENTS];
        exchange_square_sums(ex, sums);
        exchange_publish(ex);
    }
    free(expected);
    exchange_destroy(ex);
}

static bool power_of_two(int n) { return (n & (n - 1)) == 0; }

START_TEST(every_row_sums_the_tree)
{
    const exchange_entry *entries;
    exchange_entries(&entries);
    if (!power_of_two(comm_size(ranks))) return;
    for (int micro_batches = comm_size(ranks); micro_batches <= SLICES_MAX; micro_batches *= 2)
        check_row(entries[_i].name, micro_batches, 1 + micro_batches % 3);
}
END_TEST

static void refused(int micro_batches, exchange_wire wire, const char *says)
{
    exchange_config config = {.name = "allreduce", .count = 16, .threads = 1, .micro_batches = micro_batches, .wire = wire};
    exchange *ex;
    ranks_assert(exchange_create(ranks, &config, &ex) == VGG_BAD_OPTION && !ex, "bad option");
    ranks_assert(strstr(vgg_message(), says) != NULL, vgg_message());
}

START_TEST(numbers_that_do_not_fit_are_refused)
{
    refused(6, WIRE_FP32, "power of two");
    refused(-4, WIRE_FP32, "power of two");
    if (comm_size(ranks) > 1) refused(1, WIRE_FP32, "--micro-batches 1 does not fit");
    if (!power_of_two(comm_size(ranks))) refused(8, WIRE_FP32, "at most 8");
    if (power_of_two(comm_size(ranks))) refused(8, WIRE_BF16, "--wire fp32");
}
END_TEST

START_TEST(without_slices_a_rank_has_one)
{
    const exchange_entry *entries;
    exchange_entries(&entries);
    exchange_config config = {
        .name = entries[_i].name, .count = COUNT, .segments = segments, .segment_count = SEGMENTS, .threads = 1};
    exchange *ex;
    ranks_assert(exchange_create(ranks, &config, &ex) == VGG_OK, vgg_message());
    ranks_assert(exchange_micro_batches(ex).count == 1 && exchange_micro_batch_gradient(ex, 0) == exchange_gradient(ex),
                 "one slice");
    uint64_t places = exchange_micro_batches(ex).first + 1;
    comm_sum_u64(ranks, &places, 1);
    ranks_assert((int)places == comm_size(ranks) * (comm_size(ranks) + 1) / 2, "each rank in its own place");
    exchange_destroy(ex);
}
END_TEST

static Suite *make_suite(void)
{
    const exchange_entry *entries;
    int rows = (int)exchange_entries(&entries);
    Suite *suite = suite_create("micro_batches");
    TCase *tests = tcase_create("micro_batches");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, every_row_sums_the_tree, 0, rows);
    tcase_add_loop_test(tests, without_slices_a_rank_has_one, 0, rows);
    tcase_add_test(tests, numbers_that_do_not_fit_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

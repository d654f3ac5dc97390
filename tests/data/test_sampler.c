#include "vgg11/data/sampler.h"

#include <stdlib.h>
#include <string.h>

#include "support/support.h"

static const struct {
    uint32_t count, batch;
} cases[] = {{1, 1}, {1, 128}, {7, 3}, {32, 32}, {33, 32}, {31, 32}, {1000, 37}, {60000, 128}, {10, UINT32_MAX}};
enum { CASES = sizeof cases / sizeof *cases };

START_TEST(batches_cover_the_epoch_once_and_only_the_last_is_short)
{
    uint32_t count = cases[_i].count, batch = cases[_i].batch, steps = sampler_steps(count, batch);
    size_t next = 0;
    for (uint32_t step = 0; step < steps; step++) {
        vgg_range range = sampler_batch(count, batch, step);
        size_t least = step + 1 < steps ? batch : 1;
        if (range.first != next || range.count < least || range.count > batch)
            ck_abort_msg("step %u: %zu from %zu", step, range.count, range.first);
        next += range.count;
    }
    ck_assert_uint_eq(next, count);
    ck_assert_uint_eq(sampler_batch(count, batch, steps).count, 0);
}
END_TEST

/* Each rank takes its part of each batch: whatever their number, each sample is used once in an epoch. */
START_TEST(ranks_use_each_sample_once_whatever_their_number)
{
    enum { COUNT = 1003, BATCH = 10 };
    uint32_t order[COUNT];
    sampler_order(1, 4, true, order, COUNT);
    for (size_t ranks = 1; ranks <= 12; ranks++) {
        int used[COUNT] = {0};
        for (uint32_t step = 0; step < sampler_steps(COUNT, BATCH); step++) {
            vgg_range batch = sampler_batch(COUNT, BATCH, step);
            for (size_t rank = 0; rank < ranks; rank++) {
                vgg_range part = range_part(batch.count, ranks, rank);
                for (size_t i = 0; i < part.count; i++) used[order[batch.first + part.first + i]]++;
            }
        }
        for (int i = 0; i < COUNT; i++)
            if (used[i] != 1) ck_abort_msg("%zu ranks use sample %d %d times", ranks, i, used[i]);
    }
}
END_TEST

START_TEST(an_order_belongs_to_its_seed_and_epoch)
{
    uint32_t a[500], b[500];
    sampler_order(1, 0, true, a, 500);
    sampler_order(1, 0, true, b, 500);
    ck_assert_mem_eq(a, b, sizeof a);
    sampler_order(1, 1, true, b, 500);
    ck_assert_mem_ne(a, b, sizeof a);
    sampler_order(2, 0, true, b, 500);
    ck_assert_mem_ne(a, b, sizeof a);
    sampler_order(2, 0, false, a, 500);
    for (uint32_t i = 0; i < 500; i++) ck_assert_uint_eq(a[i], i);
}
END_TEST

START_TEST(a_split_is_a_permutation_of_its_own)
{
    uint32_t places[500], again[500], order[500];
    bool seen[500] = {false};
    sampler_split(places, 500);
    sampler_split(again, 500);
    ck_assert_mem_eq(places, again, sizeof places);
    for (uint32_t i = 0; i < 500; i++) seen[places[i]] = true;
    for (uint32_t i = 0; i < 500; i++) ck_assert(seen[i]);
    sampler_order(0, 0, true, order, 500);
    ck_assert_mem_ne(places, order, sizeof places);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sampler");
    TCase *tests = tcase_create("sampler");
    tcase_add_loop_test(tests, batches_cover_the_epoch_once_and_only_the_last_is_short, 0, CASES);
    tcase_add_test(tests, ranks_use_each_sample_once_whatever_their_number);
    tcase_add_test(tests, an_order_belongs_to_its_seed_and_epoch);
    tcase_add_test(tests, a_split_is_a_permutation_of_its_own);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

/* The fixed blocks and their sums of squares, without ranks. */
#include "exchange/blocks.h"
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const vgg_range awkward[] = {
    {16, 1}, {32, 0}, {32, 15}, {48, 16}, {64, 17}, {4096, BLOCK_FLOATS}, {40960, 3 * BLOCK_FLOATS + 5}};
enum { SEGMENTS = sizeof awkward / sizeof awkward[0], FLOATS = 98304 };

static block_table open_awkward(void)
{
    block_table table;
    ck_assert_int_eq(blocks_open(&table, FLOATS, awkward, NULL, SEGMENTS), VGG_OK);
    return table;
}

START_TEST(blocks_cover_everything_once)
{
    block_table table = open_awkward();
    size_t at = 0, in_segments = 0;
    for (size_t i = 0; i < table.count; i++) {
        const float_block *block = &table.blocks[i];
        size_t floats = block[1].first - block[0].first;
        ck_assert_uint_eq(block->first, at);
        ck_assert_uint_eq(block->first % 16, 0);
        ck_assert(floats > 0 && floats <= BLOCK_FLOATS && block->count <= floats);
        if (block->segment != BLOCK_NO_SEGMENT) {
            const vgg_range *segment = &awkward[block->segment];
            ck_assert(block->first >= segment->first && block->first + block->count <= segment->first + segment->count);
            in_segments += block->count;
        }
        at += floats;
    }
    ck_assert_uint_eq(at, FLOATS);
    size_t expected = 0;
    for (int i = 0; i < SEGMENTS; i++) expected += awkward[i].count;
    ck_assert_uint_eq(in_segments, expected);
    blocks_close(&table);
}
END_TEST

START_TEST(parts_are_disjoint_and_complete)
{
    block_table table = open_awkward();
    for (size_t parts = 1; parts < 40; parts++) {
        size_t block = 0, floats = 0;
        for (size_t part = 0; part < parts; part++) {
            vgg_range run = blocks_part(&table, parts, part), range = blocks_floats(&table, run);
            ck_assert_uint_eq(run.first, block);
            ck_assert_uint_eq(range.first, table.blocks[block].first);
            ck_assert_uint_le(range.count, FLOATS / parts + 2 * BLOCK_FLOATS);
            block += run.count;
            floats += range.count;
        }
        ck_assert_uint_eq(block, table.count);
        ck_assert_uint_eq(floats, FLOATS);
    }
    blocks_close(&table);
}
END_TEST

/* What the lanes must give, written as plainly as can be. */
static double lanes_reference(const float *values, size_t count)
{
    double lanes[32] = {0};
    for (size_t i = 0; i < count; i++) {
        double square = (double)values[i] * values[i];
        lanes[i % 32] += square;
    }
    for (int half = 16; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
}

START_TEST(square_sum_has_the_same_bits_at_every_width)
{
    float values[1000];
    support_fill(values, 1000, 3);
    for (size_t count = 0; count <= 1000; count += 1 + count / 9) {
        double sum = square_sum(values, count), expected = lanes_reference(values, count);
        ck_assert_msg(memcmp(&sum, &expected, sizeof sum) == 0, "%zu floats: %.17g, expected %.17g", count, sum, expected);
    }
}
END_TEST

START_TEST(square_sum_keeps_what_is_tiny_huge_or_no_number)
{
    float values[64] = {0};
    ck_assert(square_sum(values, 64) == 0);
    values[5] = 1e-45f;
    ck_assert(square_sum(values, 64) == (double)1e-45f * (double)1e-45f);
    values[40] = 3e38f;
    values[41] = 3e38f;
    ck_assert(isfinite(square_sum(values, 64)));
    values[63] = INFINITY;
    ck_assert(isinf(square_sum(values, 64)));
    values[33] = NAN;
    ck_assert(isnan(square_sum(values, 64)));
}
END_TEST

START_TEST(sums_do_not_depend_on_threads_or_cuts)
{
    block_table table = open_awkward();
    float *values = malloc(FLOATS * sizeof *values);
    support_fill(values, FLOATS, 7);
    double once[SEGMENTS], again[SEGMENTS];
    blocks_square_sums(&table, values, (vgg_range){0, table.count}, 1, table.sums);
    blocks_add_segments(&table, table.sums, once, SEGMENTS);
    for (size_t parts = 1; parts <= 8; parts++) {
        memset(table.sums, 0xff, table.count * sizeof *table.sums);
        for (size_t part = 0; part < parts; part++)
            blocks_square_sums(&table, values, blocks_part(&table, parts, part), (int)parts, table.sums);
        blocks_add_segments(&table, table.sums, again, SEGMENTS);
        ck_assert_mem_eq(once, again, sizeof once);
    }
    for (int i = 0; i < SEGMENTS; i++) {
        double expected = 0;
        for (size_t j = 0; j < awkward[i].count; j++) {
            double value = values[awkward[i].first + j];
            expected += value * value;
        }
        ck_assert_msg(fabs(once[i] - expected) <= 1e-12 * expected, "segment %d: %.17g, expected %.17g", i, once[i], expected);
    }
    free(values);
    blocks_close(&table);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("blocks");
    TCase *tests = tcase_create("blocks");
    tcase_add_test(tests, blocks_cover_everything_once);
    tcase_add_test(tests, parts_are_disjoint_and_complete);
    tcase_add_test(tests, square_sum_has_the_same_bits_at_every_width);
    tcase_add_test(tests, square_sum_keeps_what_is_tiny_huge_or_no_number);
    tcase_add_test(tests, sums_do_not_depend_on_threads_or_cuts);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void) { return support_run(make_suite(), NULL); }

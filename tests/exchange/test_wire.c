/* --wire bf16 between artificial nodes. */
#include "support/ranks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/error_feedback.h"
#include "vgg11/base/bf16.h"
#include "vgg11/comm/replica.h"
#include "vgg11/exchange/exchange.h"

enum { COUNT = 200000, STEPS = 64 };
static const vgg_range whole = {0, COUNT};

static exchange *open_row(const char *name)
{
    exchange_config config = {
        .name = name, .count = COUNT, .segments = &whole, .segment_count = 1, .threads = 2, .wire = WIRE_BF16};
    exchange *ex = NULL;
    vgg_status status = exchange_create(ranks, &config, &ex);
    ranks_assert(status == VGG_OK, vgg_message());
    return ex;
}

static void step(exchange *ex, const float *gradient)
{
    exchange_begin(ex);
    memcpy(exchange_gradient(ex), gradient, COUNT * sizeof *gradient);
    exchange_range_final(ex, 0, COUNT);
    exchange_finish(ex);
    vgg_range owned = exchange_owned(ex);
    for (size_t i = owned.first; i < owned.first + owned.count; i++) exchange_weights(ex)[i] += exchange_gradient(ex)[i];
    exchange_publish(ex);
}

/* Each step's sum is right to bf16's precision; the sum over steps is right to one step's error, since what rounding took
 * away comes back. Without feedback the same gradient would be rounded the same way 64 times. */
static void check_feedback(exchange *ex)
{
    float *mine = malloc(COUNT * sizeof *mine);
    double *sum = calloc(COUNT, sizeof *sum);
    for (int rank = 0; rank < comm_size(ranks); rank++) {
        support_fill(mine, COUNT, (unsigned)rank);
        for (size_t i = 0; i < COUNT; i++) sum[i] += mine[i];
    }
    support_fill(mine, COUNT, (unsigned)comm_rank(ranks));
    bool right = true;
    for (int s = 1; s <= STEPS; s++) {
        step(ex, mine);
        if (s > 1 && s < STEPS) continue;
        ranks_assert(replica_check(ranks, "weights", exchange_weights(ex), COUNT, 1) == VGG_OK, vgg_message());
        double one_step = comm_size(ranks) * (0x1p-7 + STEPS * 0x1p-19);
        for (size_t i = 0; i < COUNT; i++) right &= fabs(exchange_weights(ex)[i] - s * sum[i]) <= one_step;
        ranks_assert(right, "no more than one step's rounding is missing");
    }
    free(sum);
    free(mine);
}

static bool representable(const float *values)
{
    for (size_t i = 0; i < COUNT; i++)
        if (bf16_widen(bf16_round(values[i])) != values[i]) return false;
    return true;
}

START_TEST(errors_are_fed_back)
{
    const exchange_entry *entries;
    exchange_entries(&entries);
    exchange *ex = open_row(entries[_i].name);
    check_feedback(ex);
    exchange_destroy(ex);
}
END_TEST

START_TEST(the_wire_is_narrow_between_nodes_only)
{
    const exchange_entry *entries;
    exchange_entries(&entries);
    exchange *ex = open_row(entries[_i].name);
    float *mine = malloc(COUNT * sizeof *mine);
    support_fill(mine, COUNT, (unsigned)comm_rank(ranks));
    step(ex, mine);
    bool narrow = comm_node_count(ranks) > 1;
    ranks_assert(representable(exchange_weights(ex)) == narrow, "sums are rounded where they cross a wire, and only there");
    ranks_assert((strstr(exchange_reason(ex), "bf16 unused") == NULL) == narrow, exchange_reason(ex));
    free(mine);
    exchange_destroy(ex);
}
END_TEST

START_TEST(what_is_no_number_stays_so_for_one_step)
{
    const exchange_entry *entries;
    exchange_entries(&entries);
    exchange *ex = open_row(entries[_i].name);
    float *mine = calloc(COUNT, sizeof *mine);
    int last = comm_size(ranks) - 1;
    mine[7] = comm_rank(ranks) == last ? NAN : 1.0f;
    mine[8] = comm_rank(ranks) == last ? INFINITY : 1.0f;
    mine[COUNT - 1] = comm_rank(ranks) == 0 ? -INFINITY : 0.0f;
    step(ex, mine);
    const float *weights = exchange_weights(ex);
    ranks_assert(isnan(weights[7]) && weights[8] == INFINITY && weights[COUNT - 1] == -INFINITY && weights[9] == 0, "NaN and Inf");
    exchange_collect(ex, exchange_weights(ex));
    vgg_range owned = exchange_owned(ex);
    memset(exchange_weights(ex) + owned.first, 0, owned.count * sizeof(float));
    exchange_publish(ex);
    memset(mine, 0, COUNT * sizeof *mine);
    mine[7] = mine[8] = mine[COUNT - 1] = 1.0f;
    step(ex, mine);
    float size = (float)comm_size(ranks);
    ranks_assert(weights[7] == size && weights[8] == size && weights[COUNT - 1] == size, "and nothing of them is carried on");
    free(mine);
    exchange_destroy(ex);
}
END_TEST

START_TEST(it_halves_what_is_sent)
{
    if (comm_node_count(ranks) == 1) return;
    exchange_config config = {.name = "node", .count = COUNT, .segments = &whole, .segment_count = 1, .threads = 1};
    uint64_t sent[2];
    for (int wire = WIRE_FP32; wire <= WIRE_BF16; wire++) {
        exchange *ex;
        config.wire = (exchange_wire)wire;
        ranks_assert(exchange_create(ranks, &config, &ex) == VGG_OK, vgg_message());
        sent[wire] = exchange_cost(ex).bytes_sent;
        exchange_destroy(ex);
    }
    ranks_assert(sent[WIRE_FP32] == 2 * sent[WIRE_BF16], "half the bytes");
}
END_TEST

static Suite *make_suite(void)
{
    const exchange_entry *entries;
    int rows = (int)exchange_entries(&entries);
    Suite *suite = suite_create("wire");
    TCase *tests = tcase_create("wire");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, errors_are_fed_back, 0, rows);
    tcase_add_loop_test(tests, the_wire_is_narrow_between_nodes_only, 0, rows);
    tcase_add_loop_test(tests, what_is_no_number_stays_so_for_one_step, 0, rows);
    tcase_add_test(tests, it_halves_what_is_sent);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

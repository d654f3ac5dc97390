/* replica_check() and exchange_check() over real ranks. */
#include "support/ranks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vgg11/comm/replica.h"
#include "vgg11/exchange/exchange.h"

enum { COUNT = 200003 };
static float *buffer;

static void set_up(void)
{
    buffer = malloc(COUNT * sizeof *buffer);
    support_fill(buffer, COUNT, 1);
}

static void tear_down(void) { free(buffer); }

static vgg_status check(int threads) { return replica_check(ranks, "weights", buffer, COUNT, threads); }

START_TEST(equal_buffers_pass)
{
    ranks_assert(check(1) == VGG_OK, "equal");
    ranks_assert(check(1 + comm_rank(ranks) % 3) == VGG_OK, "equal with unequal threads");
    buffer[17] = NAN;
    ranks_assert(check(1) == VGG_OK, "equal NaN");
    ranks_assert(replica_check(ranks, "nothing", NULL, 0, 1) == VGG_OK, "empty");
}
END_TEST

static void flip_bit_of(float *number)
{
    uint32_t bits;
    memcpy(&bits, number, sizeof bits);
    bits ^= 1;
    memcpy(number, &bits, sizeof bits);
}

static void flip_lowest_bit(size_t index) { flip_bit_of(buffer + index); }

START_TEST(one_flipped_bit_is_found_and_its_rank_named)
{
    if (comm_size(ranks) < 3) return;
    const size_t places[] = {0, 65535, 65536, COUNT - 1};
    for (int rank = 0; rank < comm_size(ranks); rank++) {
        size_t place = places[rank % 4];
        if (rank == comm_rank(ranks)) flip_lowest_bit(place);
        char named[32];
        snprintf(named, sizeof named, "rank %d of %d", rank, comm_size(ranks));
        ranks_assert(check(2) == VGG_DISAGREE, "flipped bit found");
        ranks_assert(strstr(vgg_message(), named) && strstr(vgg_message(), "weights"), vgg_message());
        if (rank == comm_rank(ranks)) flip_lowest_bit(place);
    }
}
END_TEST

START_TEST(zero_and_minus_zero_differ)
{
    if (comm_size(ranks) == 1) return;
    buffer[5] = comm_rank(ranks) == 1 ? -0.0f : 0.0f;
    ranks_assert(check(1) == VGG_DISAGREE, "signs of zero");
}
END_TEST

START_TEST(without_a_majority_both_sides_are_named)
{
    if (comm_size(ranks) != 2) return;
    if (comm_rank(ranks) == 1) flip_lowest_bit(3);
    ranks_assert(check(1) == VGG_DISAGREE, "flipped bit found");
    ranks_assert(strstr(vgg_message(), "ranks 0 and 1 differ") != NULL, vgg_message());
}
END_TEST

/* What exchange_check() is to see, at each end of the buffers and of the pieces that they are hashed in. */
enum { CHECKED_FLOATS = 3 * 65536 + 160, PLACES = 4 };
static const size_t places[PLACES] = {0, 65535, 65536, CHECKED_FLOATS - 1};
static const vgg_range whole = {0, CHECKED_FLOATS};

static int row_count(void)
{
    const exchange_entry *entries;
    return (int)exchange_entries(&entries);
}

static exchange *open_filled(int row)
{
    const exchange_entry *entries;
    exchange_entries(&entries);
    exchange_config config = {
        .name = entries[row].name, .count = CHECKED_FLOATS, .segments = &whole, .segment_count = 1, .threads = 2};
    exchange *ex = NULL;
    ranks_assert(exchange_create(ranks, &config, &ex) == VGG_OK, vgg_message());
    float *buffers[] = {exchange_weights(ex), exchange_velocity(ex)};
    for (unsigned i = 0; i < 2; i++) {
        if (comm_rank(ranks) == 0) support_fill(buffers[i], CHECKED_FLOATS, i);
        exchange_distribute(ex, buffers[i]);
    }
    return ex;
}

static const char *const names[] = {"weights", "velocity"};

/* Trials in which each rank and each place has its turn: which rank it is. */
static int trial_count(void) { return comm_size(ranks) > PLACES ? comm_size(ranks) : PLACES; }
static int victim_of(int trial) { return trial % comm_size(ranks); }

static void flip_in(exchange *ex, int which, int trial)
{
    float *buffers[] = {exchange_weights(ex), exchange_velocity(ex)};
    if (comm_rank(ranks) == victim_of(trial)) flip_bit_of(buffers[which] + places[trial % PLACES]);
    comm_barrier(ranks);
}

static bool shares_memory(const exchange *ex) { return strcmp(exchange_name(ex), "node") == 0; }

static int copies_of(const exchange *ex) { return shares_memory(ex) ? comm_node_count(ranks) : comm_size(ranks); }

/* Loops over rows, and weights and velocity. Where there is one copy of them, there is nothing to compare. */
START_TEST(copies_that_differ_are_found)
{
    for (int trial = 0; trial < trial_count(); trial++) {
        exchange *ex = open_filled(_i / 2);
        char named[32];
        flip_in(ex, _i % 2, trial);
        vgg_status expected = copies_of(ex) > 1 ? VGG_DISAGREE : VGG_OK;
        ranks_assert(exchange_check(ex) == expected, exchange_name(ex));
        ranks_assert(expected == VGG_OK || strstr(vgg_message(), names[_i % 2]) != NULL, vgg_message());
        snprintf(named, sizeof named, "rank %d of %d", victim_of(trial), comm_size(ranks));
        bool alone = !shares_memory(ex) && comm_size(ranks) > 2;
        ranks_assert(!alone || strstr(vgg_message(), named) != NULL, vgg_message());
        exchange_destroy(ex);
    }
}
END_TEST

/* No second copy is needed for that, and no majority. */
START_TEST(what_changes_between_two_checks_is_found)
{
    for (int trial = 0; trial < trial_count(); trial++) {
        exchange *ex = open_filled(_i / 2);
        char named[32];
        ranks_assert(exchange_check(ex) == VGG_OK && exchange_check(ex) == VGG_OK, "nothing has changed");
        flip_in(ex, _i % 2, trial);
        ranks_assert(exchange_check(ex) == VGG_DISAGREE, exchange_name(ex));
        ranks_assert(strstr(vgg_message(), names[_i % 2]) && strstr(vgg_message(), "changed"), vgg_message());
        snprintf(named, sizeof named, "rank %d of %d", victim_of(trial), comm_size(ranks));
        ranks_assert(shares_memory(ex) || strstr(vgg_message(), named) != NULL, vgg_message());
        exchange_destroy(ex);
    }
}
END_TEST

START_TEST(an_update_may_change_everything)
{
    exchange *ex = open_filled(_i);
    double sums[1];
    for (int step = 0; step < 3; step++) {
        ranks_assert(exchange_check(ex) == VGG_OK, vgg_message());
        exchange_begin(ex);
        support_fill(exchange_gradient(ex), CHECKED_FLOATS, (unsigned)comm_rank(ranks));
        exchange_range_final(ex, 0, CHECKED_FLOATS);
        exchange_finish(ex);
        ranks_assert(exchange_check(ex) == VGG_OK, vgg_message());
        exchange_square_sums(ex, sums);
        vgg_range owned = exchange_owned(ex);
        for (size_t i = owned.first; i < owned.first + owned.count; i++) {
            exchange_weights(ex)[i] += exchange_gradient(ex)[i];
            exchange_velocity(ex)[i] -= exchange_gradient(ex)[i];
        }
        exchange_publish(ex);
    }
    ranks_assert(exchange_check(ex) == VGG_OK, vgg_message());
    exchange_destroy(ex);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("replica");
    TCase *tests = tcase_create("replica");
    tcase_set_timeout(tests, 0);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, equal_buffers_pass);
    tcase_add_test(tests, one_flipped_bit_is_found_and_its_rank_named);
    tcase_add_test(tests, zero_and_minus_zero_differ);
    tcase_add_test(tests, without_a_majority_both_sides_are_named);
    tcase_add_loop_test(tests, copies_that_differ_are_found, 0, 2 * row_count());
    tcase_add_loop_test(tests, what_changes_between_two_checks_is_found, 0, 2 * row_count());
    tcase_add_loop_test(tests, an_update_may_change_everything, 0, row_count());
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

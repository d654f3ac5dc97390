/* replica_check() over real ranks. */
#include "support/ranks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vgg11/comm/replica.h"

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

static void flip_lowest_bit(size_t index)
{
    uint32_t bits;
    memcpy(&bits, buffer + index, sizeof bits);
    bits ^= 1;
    memcpy(buffer + index, &bits, sizeof bits);
}

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

static Suite *make_suite(void)
{
    Suite *suite = suite_create("replica");
    TCase *tests = tcase_create("replica");
    tcase_set_timeout(tests, 0);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, equal_buffers_pass);
    tcase_add_test(tests, one_flipped_bit_is_found_and_its_rank_named);
    tcase_add_test(tests, zero_and_minus_zero_differ);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

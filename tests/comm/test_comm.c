/* comm.h over real ranks. */
#include "support/ranks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vgg11/base/clock.h"

static int me(void) { return comm_rank(ranks); }
static int all(void) { return comm_size(ranks); }

START_TEST(who_is_who)
{
    ranks_assert(me() >= 0 && me() < all(), "rank out of range");
    ranks_assert(strlen(comm_host(ranks)) > 0, "no host name");
    ranks_assert(strchr(comm_library_version(ranks), '\n') == NULL && *comm_library_version(ranks), "library version not one line");

    uint64_t leaders = comm_node_rank(ranks) == 0;
    comm_sum_u64(ranks, &leaders, 1);
    ranks_assert((int)leaders == comm_node_count(ranks), "one first rank per node");
    uint64_t here = 1;
    comm_node_sum_u64(ranks, &here, 1);
    ranks_assert((int)here == comm_node_size(ranks), "node size");
    uint64_t last_node = (uint64_t)comm_node_index(ranks);
    comm_max_u64(ranks, &last_node, 1);
    ranks_assert((int)last_node + 1 == comm_node_count(ranks), "node index");
}
END_TEST

START_TEST(agrees_on_ok) { ranks_assert(comm_agree(ranks, VGG_OK) == VGG_OK, "all well"); }
END_TEST

START_TEST(adopts_a_failure_of_each_rank)
{
    for (int failing = 0; failing < all(); failing++) {
        vgg_fail(VGG_ERROR, "an older message");
        vgg_status mine = me() == failing ? vgg_fail(VGG_BAD_DATA, "rank %d cannot read", failing) : VGG_OK;
        char expected[64];
        snprintf(expected, sizeof expected, "rank %d cannot read", failing);
        ranks_assert(comm_agree(ranks, mine) == VGG_BAD_DATA, "status of the failing rank");
        ranks_assert(strcmp(vgg_message(), expected) == 0, "message of the failing rank");
    }
}
END_TEST

START_TEST(takes_the_lowest_of_several_failures)
{
    int lowest = all() / 2;
    vgg_status mine = me() < lowest ? VGG_OK : vgg_fail(me() == lowest ? VGG_IO_ERROR : VGG_BAD_OPTION, "%d", me());
    ranks_assert(comm_agree(ranks, mine) == VGG_IO_ERROR, "status of the lowest failing rank");
    ranks_assert(atoi(vgg_message()) == lowest, "message of the lowest failing rank");
}
END_TEST

START_TEST(compares_texts)
{
    ranks_assert(comm_agree_text(ranks, "the build", "one") == VGG_OK, "equal texts");
    if (all() == 1) return;
    char text[2000];
    memset(text, 'x', sizeof text);
    snprintf(text, sizeof text, "mine is %s", me() == all() - 1 ? "longer" : "short");
    ranks_assert(comm_agree_text(ranks, "the build", text) == VGG_DISAGREE, "differing texts");
    char differing[32];
    snprintf(differing, sizeof differing, "(differing: %d)", all() - 1);
    ranks_assert(strstr(vgg_message(), "the build") && strstr(vgg_message(), differing), "names subject and rank");
    ranks_assert(strstr(vgg_message(), "mine is short") && strstr(vgg_message(), "mine is longer"), "quotes both");

    ranks_assert(comm_agree_text(ranks, "x", me() == 0 ? "a" : "b") == VGG_DISAGREE, "rank 0 alone differs");
}
END_TEST

START_TEST(compares_texts_longer_than_a_message)
{
    if (all() == 1) return;
    char *text = malloc(100001);
    memset(text, 'y', 100000);
    text[100000] = '\0';
    ranks_assert(comm_agree_text(ranks, "long", text) == VGG_OK, "equal long texts");
    if (me() == 1) text[99999] = 'z';
    ranks_assert(comm_agree_text(ranks, "long", text) == VGG_DISAGREE, "last byte differs");
    free(text);
}
END_TEST

START_TEST(joins_texts)
{
    char text[64], expected[64];
    ranks_assert(comm_join_texts(ranks, "avx2", text, sizeof text) == VGG_OK && strcmp(text, "avx2") == 0, "all alike");
    if (all() < 2) return;
    ranks_assert(comm_join_texts(ranks, me() == 0 ? "a" : "b", text, sizeof text) == VGG_OK, "two kinds");
    snprintf(expected, sizeof expected, all() > 2 ? "a@0,b@1-%d" : "a@0,b@1", all() - 1);
    ranks_assert(strcmp(text, expected) == 0, text);
    char mine[16], short_text[20], other[20];
    snprintf(mine, sizeof mine, "rank number %d", me());
    ranks_assert(comm_join_texts(ranks, mine, short_text, sizeof short_text) == VGG_OK, "too long");
    ranks_assert(strncmp(short_text, "unlike:", 7) == 0 && strlen(short_text) == 15, short_text);
    if (me() == all() - 1) strcpy(mine, "another");
    ranks_assert(comm_join_texts(ranks, mine, other, sizeof other) == VGG_OK && strcmp(short_text, other) != 0, "the last differs");
}
END_TEST

START_TEST(finds_numbers_the_same)
{
    ranks_assert(comm_same(ranks, 0) && comm_same(ranks, UINT64_MAX), "the same");
    for (int one = 0; one < all() && all() > 1; one++) ranks_assert(!comm_same(ranks, me() == one), "one has another");
}
END_TEST

START_TEST(any_and_max)
{
    ranks_assert(!comm_any(ranks, false), "none");
    for (int one = 0; one < all(); one++) {
        ranks_assert(comm_any(ranks, me() == one), "one");
        ranks_assert(comm_max(ranks, me() == one ? -0.5 : -1.0 - me()) == -0.5, "largest");
    }
}
END_TEST

START_TEST(sums_are_exact_and_ordered)
{
    uint64_t big[3] = {UINT64_C(1) << 60, (uint64_t)me(), 1};
    comm_sum_u64(ranks, big, 3);
    uint64_t n = (uint64_t)all();
    ranks_assert(big[0] == n << 60 && big[1] == n * (n - 1) / 2 && big[2] == n, "u64 sums");

    enum { COUNT = 150 };
    double values[COUNT];
    for (int i = 0; i < COUNT; i++) values[i] = 1.0 / (3 + i + 7 * me());
    comm_sum_in_rank_order(ranks, values, COUNT);
    bool right = true;
    for (int i = 0; i < COUNT; i++) {
        double sum = 1.0 / (3 + i);
        for (int rank = 1; rank < all(); rank++) sum += 1.0 / (3 + i + 7 * rank);
        right &= sum == values[i];
    }
    ranks_assert(right, "sums in rank order, to the bit");
}
END_TEST

START_TEST(broadcasts_and_gathers)
{
    char text[16];
    for (int root = 0; root < all(); root++) {
        snprintf(text, sizeof text, "from %d", me());
        comm_broadcast(ranks, text, sizeof text, root);
        ranks_assert(atoi(text + 5) == root, "broadcast");
    }
    int *gathered = malloc((size_t)all() * sizeof *gathered);
    int mine = 10 * me();
    comm_gather_all(ranks, &mine, sizeof mine, gathered);
    bool right = true;
    for (int rank = 0; rank < all(); rank++) right &= gathered[rank] == 10 * rank;
    ranks_assert(right, "gather in rank order");
    mine = comm_node_rank(ranks);
    comm_node_gather_all(ranks, &mine, sizeof mine, gathered);
    for (int rank = 0; rank < comm_node_size(ranks); rank++) right &= gathered[rank] == rank;
    ranks_assert(right, "gather on the node");
    free(gathered);
}
END_TEST

START_TEST(shares_memory_on_a_node)
{
    size_t here = (size_t)comm_node_size(ranks), mine = (size_t)comm_node_rank(ranks), each = 12345;
    comm_shared *shared;
    ranks_assert(comm_shared_open(ranks, here * each * sizeof(int), &shared) == VGG_OK, vgg_message());
    int *values = comm_shared_memory(shared);
    bool zero = true;
    for (size_t i = 0; i < here * each; i++) zero &= values[i] == 0;
    ranks_assert((uintptr_t)values % 64 == 0 && zero, "aligned and zeroed");
    for (int round = 1; round <= 20; round++) {
        for (size_t i = 0; i < each; i++) values[mine * each + i] = round * 1000 + (int)mine;
        comm_shared_sync(ranks, shared);
        bool right = true;
        for (size_t i = 0; i < here * each; i++) right &= values[i] == round * 1000 + (int)(i / each);
        comm_shared_sync(ranks, shared);
        ranks_assert(right, "neighbours' writes are seen");
    }
    comm_shared_close(shared);
    comm_shared_close(NULL);
}
END_TEST

START_TEST(shared_memory_that_cannot_be_had_is_a_status)
{
    comm_shared *shared = NULL;
    size_t absurd = (size_t)1 << 46;
    ranks_assert(comm_shared_open(ranks, absurd, &shared) == VGG_UNAVAILABLE && !shared, "64 TiB refused");
    ranks_assert(strstr(vgg_message(), "67108864") != NULL, vgg_message());
    ranks_assert(comm_shared_open(ranks, 64, &shared) == VGG_OK, "and life goes on");
    comm_shared_close(shared);
}
END_TEST

/* Clocks that stand apart, as those of machines do: the ranks of a node have one. */
double __real_clock_now_s(void);
double __wrap_clock_now_s(void);
static double ahead_s;
double __wrap_clock_now_s(void) { return __real_clock_now_s() + ahead_s; }

START_TEST(compares_clocks)
{
    ahead_s = 1000.0 * comm_node_index(ranks);
    double before = __wrap_clock_now_s();
    comm_clock clock = comm_compare_clocks(ranks);
    double after = __wrap_clock_now_s();
    ranks_assert(before <= clock.at_s && clock.at_s <= after, "measured meanwhile, by the rank's own clock");
    ranks_assert(fabs(clock.offset_s + ahead_s) <= clock.round_trip_s / 2, "off by half of the round trip at most");
    ranks_assert((clock.round_trip_s > 0) == (comm_node_index(ranks) > 0), "asked between nodes only");
    ahead_s = 0;
}
END_TEST

START_TEST(sends_to_the_first)
{
    char got[40] = "";
    for (int from = 1; from < all(); from++) {
        char mine[sizeof got];
        snprintf(mine, sizeof mine, "from rank %d", me());
        comm_send_to_first(ranks, from, mine, got, sizeof got);
        char expected[sizeof got];
        snprintf(expected, sizeof expected, "from rank %d", from);
        ranks_assert(strcmp(got, me() == 0 ? expected : "") == 0, "rank 0 alone has it");
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("comm");
    TCase *tests = tcase_create("comm");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, who_is_who);
    tcase_add_test(tests, agrees_on_ok);
    tcase_add_test(tests, adopts_a_failure_of_each_rank);
    tcase_add_test(tests, takes_the_lowest_of_several_failures);
    tcase_add_test(tests, compares_texts);
    tcase_add_test(tests, compares_texts_longer_than_a_message);
    tcase_add_test(tests, joins_texts);
    tcase_add_test(tests, finds_numbers_the_same);
    tcase_add_test(tests, any_and_max);
    tcase_add_test(tests, sums_are_exact_and_ordered);
    tcase_add_test(tests, broadcasts_and_gathers);
    tcase_add_test(tests, compares_clocks);
    tcase_add_test(tests, sends_to_the_first);
    tcase_add_test(tests, shares_memory_on_a_node);
    tcase_add_test(tests, shared_memory_that_cannot_be_had_is_a_status);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

/* Memory that runs out on one rank alone while an exchange is opened, at each of its allocations in turn: all ranks hear of it, and
 * none waits for the others. */
#include <stdio.h>

#include "support/failing_memory.h"
#include "support/ranks.h"
#include "vgg11/exchange/exchange.h"

enum { COUNT = 1 << 18 }; /* a mebibyte, from which on buckets are timed */

static const vgg_range halves[] = {{0, COUNT / 2}, {COUNT / 2, COUNT / 2}};
static memory_chains chains;

/* With each way to add: as it comes, in fixed parts, rounded on the network, timed first. */
static const struct {
    const char *name;
    int micro_batches;
    exchange_wire wire;
    bool tune;
} cases[] = {{"allreduce", 0, WIRE_FP32, false}, {"overlap", 0, WIRE_FP32, false},   {"overlap", 0, WIRE_FP32, true},
             {"node", 0, WIRE_FP32, false},      {"node", 0, WIRE_BF16, false},      {"auto", 0, WIRE_FP32, false},
             {"auto", 0, WIRE_FP32, true},       {"allreduce", 8, WIRE_FP32, false}, {"overlap", 8, WIRE_FP32, false},
             {"node", 8, WIRE_FP32, false}};
enum { CASES = sizeof cases / sizeof cases[0] };

static vgg_status open_and_close(int which)
{
    exchange_config config = {.name = cases[which].name,
                              .count = COUNT,
                              .segments = halves,
                              .segment_count = sizeof halves / sizeof *halves,
                              .wire = cases[which].wire,
                              .threads = 1,
                              .micro_batches = cases[which].micro_batches,
                              .tune = cases[which].tune};
    exchange *ex = NULL;
    vgg_status status = exchange_create(ranks, &config, &ex);
    if (status == VGG_OK) exchange_destroy(ex);
    return status;
}

static void find_allocations(int which, int failing)
{
    ranks_assert(open_and_close(which) == VGG_OK, vgg_message());
    chains.count = 0;
    failing_memory_list(&chains);
    vgg_status status = open_and_close(which);
    failing_memory_list(NULL);
    ranks_assert(status == VGG_OK, "once more");
    comm_broadcast(ranks, &chains, sizeof chains, failing);
    ranks_assert(chains.count > 0, "it allocates something");
}

START_TEST(all_hear_of_it)
{
    const int last = comm_size(ranks) - 1;
    for (int failing = 0; failing <= last; failing += last) {
        find_allocations(_i, failing);
        for (int i = 0; i < chains.count; i++) {
            char when[100];
            failing_memory_fail(comm_rank(ranks) == failing ? chains.first[i] : 0);
            vgg_status status = open_and_close(_i);
            failing_memory_fail(0);
            snprintf(when, sizeof when, "%s, allocation %ld of rank %d: status %d", cases[_i].name, chains.first[i], failing,
                     status);
            ranks_assert(comm_same(ranks, status) && (status == VGG_OK || status == VGG_UNAVAILABLE), when);
        }
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("one rank's memory in an exchange");
    TCase *tests = tcase_create("one rank's memory in an exchange");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, all_hear_of_it, 0, CASES);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

/* Memory that runs out on one rank alone while an exchange is opened. */
#include "support/one_rank_memory.h"
#include "vgg11/exchange/exchange.h"

enum { COUNT = 1 << 18 }; /* a mebibyte, from which on buckets are timed */

static const vgg_range halves[] = {{0, COUNT / 2}, {COUNT / 2, COUNT / 2}};

/* With each way to add: as it comes, in fixed parts, rounded on the network, timed first. */
typedef struct {
    const char *name;
    int micro_batches;
    exchange_wire wire;
    bool tune;
} exchange_case;
static const exchange_case cases[] = {{"allreduce", 0, WIRE_FP32, false}, {"overlap", 0, WIRE_FP32, false},
                                      {"overlap", 0, WIRE_FP32, true},    {"node", 0, WIRE_FP32, false},
                                      {"node", 0, WIRE_BF16, false},      {"auto", 0, WIRE_FP32, false},
                                      {"auto", 0, WIRE_FP32, true},       {"allreduce", 8, WIRE_FP32, false},
                                      {"overlap", 8, WIRE_FP32, false},   {"node", 8, WIRE_FP32, false}};
enum { CASES = sizeof cases / sizeof cases[0] };

static vgg_status open_and_close(const void *context)
{
    const exchange_case *one = context;
    exchange_config config = {.name = one->name,
                              .count = COUNT,
                              .segments = halves,
                              .segment_count = sizeof halves / sizeof *halves,
                              .wire = one->wire,
                              .threads = 1,
                              .micro_batches = one->micro_batches,
                              .tune = one->tune};
    exchange *ex = NULL;
    vgg_status status = exchange_create(ranks, &config, &ex);
    if (status == VGG_OK) exchange_destroy(ex);
    return status;
}

START_TEST(all_hear_of_it)
{
    const int last = comm_size(ranks) - 1;
    const memory_call call = {cases[_i].name, open_and_close, &cases[_i], VGG_OK, true};
    for (int failing = 0; failing <= last; failing += last) one_rank_memory_walk(&call, failing, 0, 1);
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

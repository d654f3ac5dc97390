/* Memory that runs out on one rank alone while ranks compare and join texts, compare copies and find their nodes. */
#include "comm/comm_impl.h"
#include "support/one_rank_memory.h"
#include "vgg11/comm/replica.h"

static vgg_status compare_texts(const void *text) { return comm_agree_text(ranks, "the text", comm_rank(ranks) ? "one" : text); }

static vgg_status join_texts(const void *unused)
{
    (void)unused;
    char text[64];
    return comm_join_texts(ranks, "one", text, sizeof text);
}

static vgg_status compare_copies(const void *unused)
{
    (void)unused;
    return replica_compare(ranks, "weights", (replica_finding){1, 0}, false);
}

/* The same ranks once more. */
static vgg_status find_nodes(const void *unused)
{
    (void)unused;
    comm again = *ranks;
    again.node = MPI_COMM_NULL;
    again.node_count = 0;
    again.node_of = again.node_sizes = NULL;
    again.gathered = NULL;
    vgg_status status = nodes_open(&again);
    nodes_close(&again);
    return status;
}

static const memory_call calls[] = {{"equal texts", compare_texts, "one", VGG_OK, false},
                                    {"unequal texts", compare_texts, "two", VGG_DISAGREE, false},
                                    {"joined texts", join_texts, NULL, VGG_OK, false},
                                    {"copies", compare_copies, NULL, VGG_OK, false},
                                    {"nodes", find_nodes, NULL, VGG_OK, false}};

START_TEST(all_hear_of_it)
{
    const int last = comm_size(ranks) - 1;
    for (int failing = 0; failing <= last; failing += last) one_rank_memory_walk(&calls[_i], failing, 0, 1);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("one rank's memory");
    TCase *tests = tcase_create("one rank's memory");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, all_hear_of_it, 0, sizeof calls / sizeof *calls);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

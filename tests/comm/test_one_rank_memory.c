/* Memory that runs out on one rank alone: whoever is called with it hears of it, and nobody is waited for. The linker puts these
 * allocators in place of the C library's in the code under test (--wrap, see CMakeLists.txt). */
#include <stdio.h>
#include <stdlib.h>

#include "comm/comm_impl.h"
#include "support/ranks.h"
#include "vgg11/comm/replica.h"

static int left; /* allocations up to the one that fails; 0: none fails */

static bool fails(void) { return left > 0 && --left == 0; }

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes) { return fails() ? NULL : __real_malloc(bytes); }

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes) { return fails() ? NULL : __real_calloc(count, bytes); }

static vgg_status compare_equal_texts(void) { return comm_agree_text(ranks, "the text", "one"); }
static vgg_status compare_unequal_texts(void) { return comm_agree_text(ranks, "the text", comm_rank(ranks) ? "one" : "two"); }

static vgg_status join_texts(void)
{
    char text[64];
    return comm_join_texts(ranks, "one", text, sizeof text);
}

static vgg_status compare_copies(void) { return replica_compare(ranks, "weights", (replica_finding){1, 0}, false); }

/* The same ranks once more. */
static vgg_status find_nodes(void)
{
    comm again = *ranks;
    again.node = MPI_COMM_NULL;
    again.node_count = 0;
    again.node_of = again.node_sizes = NULL;
    again.gathered = NULL;
    vgg_status status = nodes_open(&again);
    nodes_close(&again);
    return status;
}

static const struct {
    const char *what;
    vgg_status (*call)(void);
    vgg_status status; /* with all the memory that it wants */
} calls[] = {{"equal texts", compare_equal_texts, VGG_OK},
             {"unequal texts", compare_unequal_texts, VGG_DISAGREE},
             {"joined texts", join_texts, VGG_OK},
             {"copies", compare_copies, VGG_OK},
             {"nodes", find_nodes, VGG_OK}};

/* Whether the failing rank came to the allocation number `at`. */
static bool try_with(int which, int failing, int at)
{
    char when[100];
    left = comm_rank(ranks) == failing ? at : 0;
    vgg_status status = calls[which].call();
    bool hit = comm_any(ranks, comm_rank(ranks) == failing && left == 0);
    left = 0;
    snprintf(when, sizeof when, "%s, allocation %d of rank %d: status %d", calls[which].what, at, failing, status);
    ranks_assert(status == (hit ? VGG_UNAVAILABLE : calls[which].status), when);
    return hit;
}

START_TEST(all_hear_of_it)
{
    const int last = comm_size(ranks) - 1;
    for (int failing = 0; failing <= last; failing += last) {
        int at = 1;
        while (try_with(_i, failing, at)) at++;
        ranks_assert(at > 1, "it allocates something");
    }
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

/* A node that gives no shared memory: run with Open MPI's backing folder moved to where there is none. */
#include "support/ranks.h"

#include <stdlib.h>
#include <string.h>

#include "vgg11/exchange/exchange.h"

enum { COUNT = 4096 };
static const vgg_range whole = {0, COUNT};

static vgg_status create(const char *name, bool tune, exchange **ex)
{
    exchange_config config = {.name = name, .count = COUNT, .segments = &whole, .segment_count = 1, .threads = 1, .tune = tune};
    return exchange_create(ranks, &config, ex);
}

START_TEST(shared_memory_is_refused_with_the_folder)
{
    comm_shared *shared;
    ranks_assert(comm_shared_open(ranks, 1 << 20, &shared) == VGG_UNAVAILABLE && !shared, "refused");
    ranks_assert(strstr(vgg_message(), getenv("OMPI_MCA_osc_sm_backing_directory")) != NULL, vgg_message());
}
END_TEST

START_TEST(a_named_strategy_that_needs_it_is_an_error)
{
    exchange *ex;
    ranks_assert(create("node", true, &ex) == VGG_UNAVAILABLE && !ex, "unavailable");
}
END_TEST

static const char *const said[] = {"first that opens; not timed", "node declined"};

/* Timed or not. */
START_TEST(auto_does_without)
{
    exchange *ex;
    ranks_assert(create("auto", _i == 1, &ex) == VGG_OK, vgg_message());
    ranks_assert(strcmp(exchange_name(ex), "node") != 0 && strstr(exchange_reason(ex), said[_i]), exchange_reason(ex));
    exchange_begin(ex);
    for (size_t i = 0; i < COUNT; i++) exchange_gradient(ex)[i] = 1.0f;
    exchange_range_final(ex, 0, COUNT);
    exchange_finish(ex);
    ranks_assert(exchange_gradient(ex)[COUNT - 1] == (float)comm_size(ranks), "and sums");
    exchange_destroy(ex);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("no shared memory");
    TCase *tests = tcase_create("no shared memory");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, shared_memory_is_refused_with_the_folder);
    tcase_add_test(tests, a_named_strategy_that_needs_it_is_an_error);
    tcase_add_loop_test(tests, auto_does_without, 0, 2);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

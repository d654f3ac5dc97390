/* A node that gives no shared memory. */
#include "support/ranks.h"

#include <string.h>

#include "vgg11/exchange/exchange.h"

enum { COUNT = 4096 };
static const vgg_range whole = {0, COUNT};

static vgg_status create(const char *name, bool tune, exchange **ex)
{
    exchange_config config = {.name = name, .count = COUNT, .segments = &whole, .segment_count = 1, .threads = 1, .tune = tune};
    ranks_refuse_shared_memory();
    vgg_status status = exchange_create(ranks, &config, ex);
    ranks_allow_shared_memory();
    return status;
}

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
    tcase_add_test(tests, a_named_strategy_that_needs_it_is_an_error);
    tcase_add_loop_test(tests, auto_does_without, 0, 2);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

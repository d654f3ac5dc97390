#include "support/ranks.h"

#include <stdio.h>
#include <stdlib.h>

comm *ranks;

static int failures_of_all(int failures)
{
    uint64_t sum = (uint64_t)failures;
    comm_sum_u64(ranks, &sum, 1);
    return (int)sum;
}

int ranks_main(int argc, char **argv, Suite *(*make_suite)(void))
{
    if (comm_open(&argc, &argv, &ranks) != VGG_OK) {
        fprintf(stderr, "%s\n", vgg_message());
        return EXIT_FAILURE;
    }
    int status = support_run(make_suite(), failures_of_all);
    comm_close(ranks);
    return status;
}

void ranks_assert(bool right, const char *what)
{
    if (!right) fprintf(stderr, "rank %d: %s\n", comm_rank(ranks), what);
    ck_assert_msg(!comm_any(ranks, !right), "%s", what);
}

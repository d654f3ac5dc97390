#include "support/ranks.h"

#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

comm *ranks;

static void end_all(void) { MPI_Abort(MPI_COMM_WORLD, VGG_ERROR); }

int ranks_main(int argc, char **argv, Suite *(*make_suite)(void))
{
    if (comm_open(&argc, &argv, &ranks) != VGG_OK) {
        fprintf(stderr, "%s\n", vgg_message());
        return EXIT_FAILURE;
    }
    support_ranks job = {comm_rank(ranks), end_all};
    int status = support_run(make_suite(), &job);
    comm_close(ranks);
    return status;
}

void ranks_assert_at(const char *file, int line, bool right, const char *what)
{
    if (!right) _ck_assert_failed(file, line, what, "%s", what);
    comm_barrier(ranks);
}

/* Only the soft limit, which can be lifted again. */
static void limit_files(bool limited)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = limited ? 0 : limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

void ranks_refuse_shared_memory(void)
{
    signal(SIGXFSZ, SIG_IGN);
    limit_files(true);
}

void ranks_allow_shared_memory(void) { limit_files(false); }

/* Shared memory that a node cannot give, or that one of its ranks cannot take: told on all ranks, and nobody waits. */
#include "support/ranks.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { BLOCK_BYTES = 1 << 28, ROOM_BYTES = 1 << 26 };

/* Leaves this process so much address space more than it has. */
static struct rlimit leave_address_space(size_t bytes)
{
    struct rlimit before, limit;
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    ck_assert(file && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
    limit = before;
    limit.rlim_cur = pages * (size_t)sysconf(_SC_PAGESIZE) + bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    return before;
}

static int count_open_files(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(folder);
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

static void open_and_use(void)
{
    comm_shared *shared;
    ranks_assert(comm_shared_open(ranks, BLOCK_BYTES, &shared) == VGG_OK, vgg_message());
    char *bytes = comm_shared_memory(shared);
    bytes[comm_node_rank(ranks)] = (char)(1 + comm_node_rank(ranks));
    comm_shared_sync(ranks, shared);
    bool right = bytes[BLOCK_BYTES - 1] == 0;
    for (int i = 0; i < comm_node_size(ranks); i++) right = right && bytes[i] == 1 + i;
    comm_shared_close(shared);
    ranks_assert(right, "what the others wrote");
}

/* Each rank in turn is the only one. */
START_TEST(one_rank_without_address_space)
{
    char said[64];
    int files = count_open_files();
    for (int poor = 0; poor < comm_size(ranks); poor++) {
        comm_shared *shared;
        struct rlimit before;
        if (comm_rank(ranks) == poor) before = leave_address_space(ROOM_BYTES);
        vgg_status status = comm_shared_open(ranks, BLOCK_BYTES, &shared);
        if (comm_rank(ranks) == poor) ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
        ranks_assert(status == VGG_UNAVAILABLE && !shared, "refused");
        snprintf(said, sizeof said, "rank %d on ", poor);
        bool named = strstr(vgg_message(), said) || strstr(vgg_message(), "no memory for a buffer");
        ranks_assert(named && strstr(vgg_message(), "256") && strstr(vgg_message(), "ulimit -v leaves it"), vgg_message());
    }
    open_and_use();
    ranks_assert(count_open_files() == files, "files left open");
}
END_TEST

static bool no_pages;

/* As the kernel says that there is no page left. */
void *__real_memset(void *to, int byte, size_t count);
void *__wrap_memset(void *to, int byte, size_t count);
void *__wrap_memset(void *to, int byte, size_t count)
{
    if (no_pages && count >= ROOM_BYTES) raise(SIGBUS);
    return __real_memset(to, byte, count);
}

/* Each rank in turn is the only one that finds no page. */
START_TEST(memory_that_runs_out_when_it_is_touched)
{
    for (int poor = 0; poor < comm_size(ranks); poor++) {
        comm_shared *shared;
        no_pages = comm_rank(ranks) == poor;
        vgg_status status = comm_shared_open(ranks, BLOCK_BYTES, &shared);
        no_pages = false;
        ranks_assert(status == VGG_UNAVAILABLE && !shared, "refused");
        ranks_assert(strstr(vgg_message(), "ran out: 256 MiB do not fit") != NULL, vgg_message());
    }
    open_and_use();
}
END_TEST

START_TEST(a_node_without_shared_memory)
{
    comm_shared *shared;
    ranks_refuse_shared_memory();
    vgg_status status = comm_shared_open(ranks, BLOCK_BYTES, &shared);
    ranks_allow_shared_memory();
    bool alone = comm_node_count(ranks) == comm_size(ranks);
    if (alone) comm_shared_close(shared);
    ranks_assert(status == (alone ? VGG_OK : VGG_UNAVAILABLE), vgg_message());
    ranks_assert(alone || strstr(vgg_message(), "gives no shared memory of 256 MiB: File too large"), vgg_message());
    open_and_use();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("shared memory");
    TCase *tests = tcase_create("shared memory");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, one_rank_without_address_space);
    tcase_add_test(tests, memory_that_runs_out_when_it_is_touched);
    tcase_add_test(tests, a_node_without_shared_memory);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }

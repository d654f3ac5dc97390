/* Sharing a node's cores among its ranks. */
#include "app/threads.h"

#include <unistd.h>
#include "support/support.h"
#include "vgg11/base/cpu.h"

/* Processors first .. first+count-1. */
static processor_mask mask_of(int first, int count)
{
    processor_mask mask = {0};
    for (int i = first; i < first + count; i++) mask.bits[i / 64] |= UINT64_C(1) << (i % 64);
    return mask;
}

enum { RANKS_MAX = 8 };

typedef struct {
    const char *what;
    int count;
    struct {
        int first, cores;
    } masks[RANKS_MAX];
    int shares[RANKS_MAX];
    int together;
} sharing;

static const sharing cases_of_sharing[] = {
    {"alone", 1, {{0, 16}}, {16}, 16},
    {"--bind-to none", 4, {{0, 16}, {0, 16}, {0, 16}, {0, 16}}, {4, 4, 4, 4}, 16},
    {"--bind-to core", 4, {{0, 1}, {1, 1}, {2, 1}, {3, 1}}, {1, 1, 1, 1}, 4},
    {"slots of four cores", 2, {{0, 4}, {4, 4}}, {4, 4}, 8},
    {"two sockets, two ranks on each", 4, {{0, 64}, {0, 64}, {64, 64}, {64, 64}}, {32, 32, 32, 32}, 128},
    {"more ranks than cores", 3, {{0, 2}, {0, 2}, {0, 2}}, {1, 1, 1}, 2},
    {"thirds add up", 3, {{0, 3}, {0, 3}, {0, 3}}, {1, 1, 1}, 3},
    {"not divisible", 2, {{0, 7}, {0, 7}}, {3, 3}, 7},
    {"overlapping in part", 2, {{0, 4}, {2, 4}}, {3, 3}, 6},
    {"one within the other", 2, {{0, 8}, {0, 2}}, {7, 1}, 8},
};

START_TEST(cores_are_shared_fairly)
{
    const sharing *one = &cases_of_sharing[_i];
    processor_mask masks[RANKS_MAX];
    for (int i = 0; i < one->count; i++) masks[i] = mask_of(one->masks[i].first, one->masks[i].cores);
    for (int i = 0; i < one->count; i++) {
        int share = threads_share(masks, one->count, i);
        ck_assert_msg(share == one->shares[i], "%s: rank %d gets %d, expected %d", one->what, i, share, one->shares[i]);
    }
    ck_assert_int_eq(threads_union(masks, one->count), one->together);
}
END_TEST

START_TEST(this_process_may_use_some_core)
{
    processor_mask mine = threads_allowed_cores();
    int cores = threads_union(&mine, 1);
    ck_assert_int_ge(cores, 1);
    ck_assert_int_le(cores, (int)sysconf(_SC_NPROCESSORS_ONLN));
    ck_assert_int_ge(threads_quota(), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *cases = tcase_create("threads");
    tcase_add_loop_test(cases, cores_are_shared_fairly, 0, sizeof cases_of_sharing / sizeof cases_of_sharing[0]);
    tcase_add_test(cases, this_process_may_use_some_core);
    suite_add_tcase(suite, cases);
    return support_run(suite, NULL);
}

#include "vgg11/base/memory.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/support.h"

static const size_t sizes[] = {1, 64, 4095, 4096, 4097, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 9 << 20};
enum { SIZES = sizeof sizes / sizeof *sizes };

START_TEST(maps_zeroed_aligned_memory)
{
    size_t bytes = sizes[_i];
    void *memory;
    ck_assert_int_eq(vgg_map(bytes, &memory), VGG_OK);
    size_t alignment = bytes >= 2 << 20 ? 2 << 20 : VGG_ALIGNMENT_BYTES;
    ck_assert_uint_eq((uintptr_t)memory % alignment, 0);
    char *first = memory;
    ck_assert(first[0] == 0 && memcmp(first, first + 1, bytes - 1) == 0);
    memset(memory, 0x5a, bytes);
    vgg_unmap(memory, bytes);
}
END_TEST

/* Whether the page at `address` is mapped. */
static int is_mapped(const char *address)
{
    unsigned char resident;
    return mincore((void *)((uintptr_t)address & ~(uintptr_t)4095), 1, &resident) == 0;
}

START_TEST(unmap_gives_all_of_it_back)
{
    size_t bytes = sizes[_i];
    void *memory;
    ck_assert_int_eq(vgg_map(bytes, &memory), VGG_OK);
    char *first = memory;
    ck_assert(is_mapped(first) && is_mapped(first + bytes - 1));
    vgg_unmap(memory, bytes);
    ck_assert(!is_mapped(first) && !is_mapped(first + bytes - 1));
}
END_TEST

START_TEST(nothing_is_a_null_pointer)
{
    void *memory = &memory;
    ck_assert_int_eq(vgg_map(0, &memory), VGG_OK);
    ck_assert_ptr_null(memory);
    vgg_unmap(memory, 0);
}
END_TEST

START_TEST(too_much_is_an_error_and_no_crash)
{
    static const size_t impossible[] = {SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX / 2, (size_t)1 << 50};
    for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
        void *memory = &memory;
        ck_assert_int_eq(vgg_map(impossible[i], &memory), VGG_UNAVAILABLE);
        ck_assert_ptr_null(memory);
        ck_assert_ptr_nonnull(strstr(vgg_message(), "no memory"));
    }
}
END_TEST

START_TEST(round_up_reaches_the_next_multiple)
{
    ck_assert_uint_eq(vgg_round_up(0, 64), 0);
    ck_assert_uint_eq(vgg_round_up(1, 64), 64);
    ck_assert_uint_eq(vgg_round_up(64, 64), 64);
    ck_assert_uint_eq(vgg_round_up(65, 64), 128);
}
END_TEST

START_TEST(an_arena_is_cut_into_disjoint_aligned_pieces)
{
    static const size_t pieces[] = {1, 100, 0, 64, 4097, 3};
    enum { PIECES = sizeof pieces / sizeof *pieces };
    vgg_arena arena = {0};
    for (int i = 0; i < PIECES; i++) arena_reserve(&arena, pieces[i]);
    ck_assert_int_eq(arena_open(&arena), VGG_OK);
    char *previous_end = arena.base;
    for (int i = 0; i < PIECES; i++) {
        char *piece = arena_take(&arena, pieces[i]);
        ck_assert_uint_eq((uintptr_t)piece % VGG_ALIGNMENT_BYTES, 0);
        ck_assert(piece >= previous_end && piece + pieces[i] <= arena.base + arena.size_bytes);
        memset(piece, 1, pieces[i]);
        previous_end = piece + pieces[i];
    }
    ck_assert_uint_eq(arena.used_bytes, arena.size_bytes);
    arena_close(&arena);
    ck_assert_ptr_null(arena.base);
    ck_assert_uint_eq(arena.size_bytes, 0);
}
END_TEST

START_TEST(an_arena_that_wraps_round_is_refused)
{
    vgg_arena arena = {0};
    arena_reserve(&arena, SIZE_MAX - 100);
    arena_reserve(&arena, 200);
    ck_assert_int_eq(arena_open(&arena), VGG_UNAVAILABLE);
}
END_TEST

static void take_too_much(void)
{
    vgg_arena arena = {0};
    arena_reserve(&arena, 64);
    if (arena_open(&arena) != VGG_OK) _exit(0);
    int null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    signal(SIGABRT, SIG_DFL);
    arena_take(&arena, 65);
    _exit(0);
}

START_TEST(taking_more_than_was_reserved_aborts)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) take_too_much();
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tests = tcase_create("memory");
    tcase_add_loop_test(tests, maps_zeroed_aligned_memory, 0, SIZES);
    tcase_add_loop_test(tests, unmap_gives_all_of_it_back, 0, SIZES);
    tcase_add_test(tests, nothing_is_a_null_pointer);
    tcase_add_test(tests, too_much_is_an_error_and_no_crash);
    tcase_add_test(tests, round_up_reaches_the_next_multiple);
    tcase_add_test(tests, an_arena_is_cut_into_disjoint_aligned_pieces);
    tcase_add_test(tests, an_arena_that_wraps_round_is_refused);
    tcase_add_test(tests, taking_more_than_was_reserved_aborts);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

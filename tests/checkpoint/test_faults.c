/* Saving while the system fails: at every call in turn, by an error, by taking less than it was given, by the end of the process. The
 * calls of the code under test come here first (--wrap, see CMakeLists.txt). */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checkpoint/saving.h"
#include "checkpoint/wrapped_calls.h"
#include "support/support.h"
#include "vgg11/base/file.h"
#include "vgg11/base/memory.h"
#include "vgg11/checkpoint/checkpoint.h"
#include "vgg11/nn/model.h"

typedef enum { FAULT_NONE, FAULT_ERROR, FAULT_SHORT, FAULT_KILL } fault_kind;

/* What happens at the call number `at`, counted from 1, of those that are named (NULL: of all but pread, which changes nothing, and write,
 * which there are many of). */
static struct {
    fault_kind kind;
    int at;
    int error;
    const char *only;
    int calls;
    int failed_sync; /* descriptor whose sync failed */
    int syncs_after; /* of that one */
} fault = {.failed_sync = -1};

enum { KILLED = 99 };

static bool strikes(const char *call)
{
    if (fault.kind == FAULT_NONE) return false;
    bool is_other = strcmp(call, "pread") != 0 && strcmp(call, "write") != 0;
    bool counts = fault.only ? strcmp(fault.only, call) == 0 : is_other;
    if (!counts || ++fault.calls != fault.at) return false;
    if (fault.kind == FAULT_KILL) _exit(KILLED);
    errno = fault.error;
    return true;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return strikes("open") ? -1 : __real_open(path, flags, mode);
}

/* A short write is followed by an interrupted one: neither is an error. */
ssize_t __wrap_write(int file, const void *data, size_t bytes)
{
    if (!strikes("write")) return __real_write(file, data, bytes);
    if (fault.kind == FAULT_SHORT) {
        fault.kind = FAULT_ERROR;
        fault.error = EINTR;
        fault.at++;
        return __real_write(file, data, bytes / 2);
    }
    return -1;
}

/* Short: the file ends there, as if it had been cut off since it was opened. */
ssize_t __wrap_pread(int file, void *data, size_t bytes, off_t offset)
{
    if (strikes("pread")) return fault.kind == FAULT_SHORT ? 0 : -1;
    return __real_pread(file, data, bytes, offset);
}

/* The disk itself is left out: what is at stake here is the end of a process. */
int __wrap_fsync(int file)
{
    fault.syncs_after += file == fault.failed_sync;
    if (!strikes("fsync")) return 0;
    fault.failed_sync = file;
    return -1;
}

int __wrap_close(int file)
{
    bool fails = strikes("close");
    __real_close(file);
    return fails ? -1 : 0;
}

int __wrap_rename(const char *from, const char *to) { return strikes("rename") ? -1 : __real_rename(from, to); }
int __wrap_link(const char *from, const char *to) { return strikes("link") ? -1 : __real_link(from, to); }
int __wrap_unlink(const char *path) { return strikes("unlink") ? -1 : __real_unlink(path); }

int __wrap_posix_fallocate(int file, off_t offset, off_t bytes)
{
    return strikes("posix_fallocate") ? errno : __real_posix_fallocate(file, offset, bytes);
}

static uint64_t blocks_free; /* that the file system is said to have, if not 0 */

int __wrap_statvfs(const char *path, struct statvfs *facts)
{
    int code = __real_statvfs(path, facts);
    if (blocks_free) *facts = (struct statvfs){.f_frsize = 1, .f_bavail = blocks_free};
    return code;
}

enum { OLD_STEP = 1, NEW_STEP = 2 };
static float *weights[3], *velocity[3], *found_weights, *found_velocity; /* by step */
static char saved[CHECKPOINT_PATH_MAX];

static vgg_status save_as(const char *path, uint64_t step) { return saving_save(path, step, weights[step], velocity[step]); }

static void set_up(void)
{
    support_open_folder();
    for (uint64_t step = OLD_STEP; step <= NEW_STEP; step++) {
        weights[step] = saving_flat(100 * (unsigned)step);
        velocity[step] = saving_flat(1000 * (unsigned)step);
    }
    found_weights = saving_flat(0), found_velocity = saving_flat(0);
    snprintf(saved, sizeof saved, "%s/checkpoint-00000001.safetensors", support_folder);
    ck_assert_msg(save_as(saved, OLD_STEP) == VGG_OK, "%s", vgg_message());
}

static void tear_down(void)
{
    float *const all[] = {weights[1], weights[2], velocity[1], velocity[2], found_weights, found_velocity};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) vgg_unmap(all[i], model_flat_count() * sizeof(float));
    support_close_folder();
}

/* The step of what is there, which must be one of the two, bit by bit. */
static uint64_t assert_sound(const char *path, const char *when)
{
    checkpoint_state state = {0};
    size_t bytes = model_flat_count() * sizeof(float);
    vgg_status status = checkpoint_load(path, &state, found_weights, found_velocity);
    ck_assert_msg(status == VGG_OK, "%s: %s", when, vgg_message());
    uint64_t step = state.position.step;
    checkpoint_state_clear(&state);
    ck_assert_msg(step == OLD_STEP || step == NEW_STEP, "%s: step %lu", when, (unsigned long)step);
    ck_assert_msg(memcmp(found_weights, weights[step], bytes) == 0 && memcmp(found_velocity, velocity[step], bytes) == 0,
                  "%s: other numbers than were saved", when);
    return step;
}

static void arm(fault_kind kind, int at, int error, const char *only)
{
    fault.kind = kind, fault.at = at, fault.error = error, fault.only = only;
    fault.calls = fault.syncs_after = 0;
    fault.failed_sync = -1;
}

/* Whether the call was come to; nothing fails from here on. */
static bool disarm(void)
{
    bool hit = fault.calls >= fault.at;
    fault.kind = FAULT_NONE;
    return hit;
}

/* The calls of a save, each in turn, and of writes every so many: VGG11_TEST_STRIDE, 1 for all. */
static struct {
    const char *only;
    int stride;
} walks[] = {{NULL, 1}, {"write", 8}};
enum { WALKS = sizeof walks / sizeof *walks };

/* A save onto the old one's name while the call number `at` of these fails; false if there are not so many. */
static bool save_with(const char *only, int at)
{
    static const int errors[] = {ENOSPC, EIO, EDQUOT, EROFS, EMFILE, EINTR};
    char when[64];
    int error = errors[at % (int)(sizeof errors / sizeof *errors)];
    snprintf(when, sizeof when, "fault at call %d of %s (%s)", at, only ? only : "others", strerrorname_np(error));
    arm(FAULT_ERROR, at, error, only);
    vgg_status status = save_as(saved, NEW_STEP);
    bool hit = disarm();
    ck_assert_msg(status == VGG_OK || status == VGG_IO_ERROR, "%s: status %d (%s)", when, status, vgg_message());
    ck_assert_msg(status == VGG_OK || strstr(vgg_message(), support_folder) != NULL, "%s: no file named: %s", when, vgg_message());
    uint64_t step = assert_sound(saved, when);
    ck_assert_msg(status != VGG_OK || step == NEW_STEP, "%s: reported as saved, and is not", when);
    ck_assert_msg(support_count_entries(support_folder) == 1, "%s: something is left behind", when);
    if (step == NEW_STEP) ck_assert_int_eq(save_as(saved, OLD_STEP), VGG_OK);
    return hit;
}

START_TEST(a_call_that_fails_loses_nothing)
{
    int at = 1;
    while (save_with(walks[_i].only, at)) at += walks[_i].stride;
    ck_assert_int_gt(at, walks[_i].only ? 2 * MODEL_TENSORS : 5); /* the walk went through all of a save */
}
END_TEST

START_TEST(short_and_interrupted_writes_are_gone_on_with)
{
    for (int at = 1, hit = 1; hit; at += 7) {
        arm(FAULT_SHORT, at, 0, "write");
        ck_assert_msg(save_as(saved, NEW_STEP) == VGG_OK, "write %d: %s", at, vgg_message());
        hit = disarm();
        ck_assert_uint_eq(assert_sound(saved, "short"), NEW_STEP);
    }
}
END_TEST

/* In a process of its own, which ends before the call number `at` of these. */
static bool killed_at(const char *only, int at)
{
    int outcome;
    arm(FAULT_KILL, at, 0, only);
    pid_t child = fork();
    if (child == 0) _exit(save_as(saved, NEW_STEP) == VGG_OK ? 0 : 1);
    fault.kind = FAULT_NONE;
    ck_assert_int_eq(waitpid(child, &outcome, 0), child);
    ck_assert(WIFEXITED(outcome) && (WEXITSTATUS(outcome) == KILLED || WEXITSTATUS(outcome) == 0));
    return WEXITSTATUS(outcome) == KILLED;
}

START_TEST(the_end_of_the_process_loses_nothing)
{
    bool left_any = false;
    for (int at = 1, killed = 1; killed; at += walks[_i].stride) {
        char when[64], newest[CHECKPOINT_PATH_MAX];
        snprintf(when, sizeof when, "killed at call %d of %s", at, walks[_i].only ? walks[_i].only : "others");
        killed = killed_at(walks[_i].only, at);
        ck_assert_int_eq(checkpoint_find_newest(support_folder, newest), VGG_OK);
        ck_assert_str_eq(newest, saved);
        uint64_t step = assert_sound(saved, when);
        ck_assert(killed || step == NEW_STEP);
        left_any |= support_count_entries(support_folder) > 1;
        file_remove_temporaries(support_folder);
        ck_assert_msg(support_count_entries(support_folder) == 1, "%s: something is left behind", when);
        if (step == NEW_STEP) ck_assert_int_eq(save_as(saved, OLD_STEP), VGG_OK);
    }
    ck_assert(left_any); /* or there was nothing to clean up */
}
END_TEST

START_TEST(a_sync_that_failed_is_not_tried_again)
{
    ck_assert_int_eq(save_as(saved, OLD_STEP), VGG_OK);
    arm(FAULT_ERROR, 1, EIO, "fsync");
    ck_assert_int_eq(save_as(saved, NEW_STEP), VGG_IO_ERROR);
    ck_assert_int_eq(fault.syncs_after, 0);
    disarm();
    ck_assert_ptr_nonnull(strstr(vgg_message(), "cannot sync"));
    ck_assert_uint_eq(assert_sound(saved, "sync failed"), OLD_STEP);
    ck_assert_int_eq(support_count_entries(support_folder), 1);
    ck_assert_int_eq(save_as(saved, NEW_STEP), VGG_OK);
    ck_assert_uint_eq(assert_sound(saved, "written anew"), NEW_STEP);
}
END_TEST

START_TEST(what_cannot_be_read_back_is_not_saved)
{
    ck_assert_int_eq(save_as(saved, OLD_STEP), VGG_OK);
    for (int at = 1; at < 200; at += 90) {
        arm(FAULT_ERROR, at, EIO, "pread");
        ck_assert_int_eq(save_as(saved, NEW_STEP), VGG_IO_ERROR);
        ck_assert(disarm());
        ck_assert_ptr_nonnull(strstr(vgg_message(), "reads back other than it was written"));
        ck_assert_uint_eq(assert_sound(saved, "not read back"), OLD_STEP);
        ck_assert_int_eq(support_count_entries(support_folder), 1);
    }
}
END_TEST

/* In the header, at its end, and in the tensors. */
START_TEST(what_cannot_be_read_is_not_loaded)
{
    static const struct {
        fault_kind kind;
        int error;
        vgg_status status;
        const char *says;
    } ways[] = {{FAULT_ERROR, EIO, VGG_IO_ERROR, "cannot be read"}, {FAULT_SHORT, 0, VGG_BAD_CHECKPOINT, "ends too early"}};
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        for (int at = 1; at <= 3; at++) {
            checkpoint_state state;
            arm(ways[way].kind, at, ways[way].error, "pread");
            ck_assert_int_eq(checkpoint_load(saved, &state, found_weights, found_velocity), ways[way].status);
            ck_assert(disarm());
            ck_assert_msg(strstr(vgg_message(), ways[way].says) != NULL, "%s", vgg_message());
        }
    }
}
END_TEST

START_TEST(a_disk_that_is_known_to_be_full_is_not_written_to)
{
    arm(FAULT_ERROR, 1, ENOSPC, "posix_fallocate");
    ck_assert_int_eq(save_as(saved, NEW_STEP), VGG_IO_ERROR);
    disarm();
    ck_assert_ptr_nonnull(strstr(vgg_message(), "no room for a checkpoint"));
    arm(FAULT_ERROR, 1, EOPNOTSUPP, "posix_fallocate"); /* a file system that cannot say */
    ck_assert_int_eq(save_as(saved, NEW_STEP), VGG_OK);
    disarm();
}
END_TEST

START_TEST(another_name_is_there_or_as_it_was)
{
    char best[CHECKPOINT_PATH_MAX], other[CHECKPOINT_PATH_MAX];
    snprintf(best, sizeof best, "%s/best.safetensors", support_folder);
    checkpoint_path(support_folder, NEW_STEP, other);
    ck_assert_int_eq(save_as(other, NEW_STEP), VGG_OK);
    for (int at = 1, hit = 1; hit; at++) {
        ck_assert_int_eq(checkpoint_alias(saved, best), VGG_OK);
        arm(FAULT_ERROR, at, EIO, NULL);
        vgg_status status = checkpoint_alias(other, best);
        hit = disarm();
        uint64_t step = assert_sound(best, "alias");
        ck_assert(status == VGG_OK ? step == NEW_STEP : status == VGG_IO_ERROR);
        ck_assert_int_eq(support_count_entries(support_folder), 3);
    }
    unlink(best), unlink(other);
}
END_TEST

START_TEST(one_that_cannot_be_removed_keeps_no_other)
{
    char other[CHECKPOINT_PATH_MAX];
    size_t passed_over;
    for (uint64_t step = 2; step <= 4; step++) {
        checkpoint_path(support_folder, step, other);
        ck_assert_int_eq(save_as(other, NEW_STEP), VGG_OK);
    }
    arm(FAULT_ERROR, 1, EACCES, "unlink"); /* of 3: the newest of the old ones comes first */
    ck_assert_int_eq(checkpoint_prune(support_folder, 1, NULL, (checkpoint_steps){0}, &passed_over), VGG_IO_ERROR);
    ck_assert(disarm());
    ck_assert_ptr_nonnull(strstr(vgg_message(), "checkpoint-00000003"));
    ck_assert_int_eq(support_count_entries(support_folder), 2);
    ck_assert_int_eq(checkpoint_prune(support_folder, 1, NULL, (checkpoint_steps){0}, &passed_over), VGG_OK);
    ck_assert_int_eq(support_count_entries(support_folder), 1);
    unlink(other);
    ck_assert_int_eq(save_as(saved, OLD_STEP), VGG_OK);
}
END_TEST

/* Of each that is moved both folders are synced: the new name first, so that there is always one. */
START_TEST(what_is_set_aside_is_synced_in_both_folders)
{
    char aside[CHECKPOINT_PATH_MAX], moved[CHECKPOINT_PATH_MAX];
    snprintf(aside, sizeof aside, "%s/aside", support_folder);
    checkpoint_path(aside, OLD_STEP, moved);
    ck_assert_int_eq(mkdir(aside, 0700), 0);
    for (int at = 1; at <= 3; at++) {
        const char *unsynced = at == 1 ? aside : support_folder;
        arm(FAULT_ERROR, at, EIO, "fsync");
        vgg_status status = checkpoint_set_aside(support_folder, 0, aside);
        ck_assert(disarm() == (at <= 2));
        ck_assert_int_eq(status, at <= 2 ? VGG_IO_ERROR : VGG_OK);
        ck_assert(at > 2 || strncmp(vgg_message(), unsynced, strlen(unsynced)) == 0);
        ck_assert_int_eq(rename(moved, saved), 0);
    }
    ck_assert_int_eq(rmdir(aside), 0);
}
END_TEST

START_TEST(too_little_room_is_told)
{
    blocks_free = 300u << 20;
    ck_assert_int_eq(checkpoint_check_room(support_folder, 1), VGG_OK);
    ck_assert_int_eq(checkpoint_check_room(support_folder, 2), VGG_IO_ERROR);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "315 MB, and 2 checkpoints have 515 MB"));
    blocks_free = 0;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("faults");
    TCase *tests = tcase_create("faults");
    const char *stride = getenv("VGG11_TEST_STRIDE");
    if (stride) walks[1].stride = atoi(stride);
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, a_call_that_fails_loses_nothing, 0, WALKS);
    tcase_add_test(tests, short_and_interrupted_writes_are_gone_on_with);
    tcase_add_loop_test(tests, the_end_of_the_process_loses_nothing, 0, WALKS);
    tcase_add_test(tests, a_sync_that_failed_is_not_tried_again);
    tcase_add_test(tests, what_cannot_be_read_back_is_not_saved);
    tcase_add_test(tests, what_cannot_be_read_is_not_loaded);
    tcase_add_test(tests, a_disk_that_is_known_to_be_full_is_not_written_to);
    tcase_add_test(tests, another_name_is_there_or_as_it_was);
    tcase_add_test(tests, one_that_cannot_be_removed_keeps_no_other);
    tcase_add_test(tests, what_is_set_aside_is_synced_in_both_folders);
    tcase_add_test(tests, too_little_room_is_told);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

/* One run at a time in a folder: who is let in, who is kept out, and what they are told. */
#include "app/run_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/support.h"

enum { PATH_BYTES = 256 };
static char lock_path[PATH_BYTES], other_path[PATH_BYTES];

/* What comes over the lock's call (--wrap): a file system without locks, a run that ends just before. */
static int lock_error;
static void (*before_lock)(void);

int __real_fcntl(int file, int command, ...);
int __wrap_fcntl(int file, int command, ...);

int __wrap_fcntl(int file, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (command == F_OFD_SETLK && before_lock) {
        void (*act)(void) = before_lock;
        before_lock = NULL;
        act();
    }
    errno = lock_error;
    return command == F_OFD_SETLK && lock_error ? -1 : __real_fcntl(file, command, argument);
}

static void set_up(void)
{
    support_open_folder();
    snprintf(lock_path, sizeof lock_path, "%s/.lock", support_folder);
    snprintf(other_path, sizeof other_path, "%s/other", support_folder);
    lock_error = 0;
    before_lock = NULL;
    unsetenv("SLURM_JOB_ID"), unsetenv("PBS_JOBID"), unsetenv("LSB_JOBID"), unsetenv("JOB_ID");
}

static void tear_down(void)
{
    unsetenv("PBS_JOBID");
    support_close_folder();
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void assert_text(const char *path, const char *has)
{
    char found[512] = "";
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    found[fread(found, 1, sizeof found - 1, file)] = '\0';
    fclose(file);
    ck_assert_msg(strstr(found, has) != NULL, "\"%s\" lacks \"%s\"", found, has);
}

static vgg_status take(int *lock) { return run_lock_take(support_folder, "here", lock); }

static void assert_taken(int *lock) { ck_assert_msg(take(lock) == VGG_OK, "%s", vgg_message()); }

static void assert_refused(const char *says)
{
    int lock;
    ck_assert_int_eq(take(&lock), VGG_IO_ERROR);
    ck_assert_int_eq(lock, RUN_LOCK_FREE);
    ck_assert_msg(strstr(vgg_message(), says) != NULL, "\"%s\" lacks \"%s\"", vgg_message(), says);
}

START_TEST(the_second_is_told_who_the_first_is)
{
    int first;
    char pid[64];
    setenv("PBS_JOBID", "4711.server", 1);
    snprintf(pid, sizeof pid, "process %d on here, job 4711.server, since 2", (int)getpid());
    assert_taken(&first);
    assert_refused(pid);
    assert_refused(support_folder);
    run_lock_release(support_folder, &first);
    ck_assert_int_eq(first, RUN_LOCK_FREE);
    run_lock_release(support_folder, &first);
    ck_assert_int_ne(access(lock_path, F_OK), 0);
    assert_taken(&first);
    run_lock_release(support_folder, &first);
}
END_TEST

START_TEST(a_run_that_was_killed_keeps_nobody_out)
{
    int lock, outcome;
    pid_t child = fork();
    if (child == 0) _exit(take(&lock) == VGG_OK ? 0 : 1);
    ck_assert_int_eq(waitpid(child, &outcome, 0), child);
    ck_assert_int_eq(outcome, 0);
    ck_assert_int_eq(access(lock_path, F_OK), 0);
    assert_taken(&lock);
    snprintf(other_path, sizeof other_path, "\"pid\":%d,", (int)getpid());
    assert_text(lock_path, other_path);
    run_lock_release(support_folder, &lock);
}
END_TEST

static const char *const senseless[] = {"", "{", "[]", "{\"host\":7,\"pid\":\"x\"}", "{\"host\":\"there\",\"pid\":-5}"};

START_TEST(what_makes_no_sense_keeps_nobody_out)
{
    int lock;
    write_text(lock_path, senseless[_i]);
    lock_error = _i % 2 ? ENOLCK : 0;
    assert_taken(&lock);
    assert_text(lock_path, "\"host\":\"here\"");
    run_lock_release(support_folder, &lock);
}
END_TEST

START_TEST(nothing_else_is_written_to_under_that_name)
{
    write_text(other_path, "untouched");
    ck_assert_int_eq(symlink(other_path, lock_path), 0);
    assert_refused("symbolic link");
    unlink(lock_path);
    ck_assert_int_eq(link(other_path, lock_path), 0);
    assert_refused("names of a file");
    assert_text(other_path, "untouched");
}
END_TEST

/* The first opens the file; the run that held it ends, and another begins, before the first has come to lock it. */
static void replace_file(void)
{
    unlink(lock_path);
    write_text(lock_path, "");
}

START_TEST(a_file_that_was_removed_locks_nothing)
{
    int lock;
    before_lock = replace_file;
    assert_taken(&lock);
    assert_refused("another run");
    run_lock_release(support_folder, &lock);
}
END_TEST

START_TEST(the_file_of_another_run_is_not_removed)
{
    int lock;
    assert_taken(&lock);
    replace_file();
    run_lock_release(support_folder, &lock);
    ck_assert_int_eq(access(lock_path, F_OK), 0);
}
END_TEST

/* A process that is no more. */
static long ended_process(void)
{
    pid_t child = fork();
    if (child == 0) _exit(0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    return child;
}

static void write_holder(const char *host, long pid, const char *job)
{
    char text[256];
    snprintf(text, sizeof text, "{\"host\":\"%s\",\"pid\":%ld,\"job\":\"%s\",\"since\":\"then\"}", host, pid, job);
    write_text(lock_path, text);
}

static const struct {
    const char *host, *job;
    bool ended, locks, taken;
} holders[] = {
    {"here", "", false, false, false}, /* without locks, what is written counts */
    {"here", "", true, false, true},      {"there", "", true, false, false}, {"there", "17", true, false, true},
    {"there", "18", false, false, false}, {"here", "", false, true, true},   {"there", "", false, true, true},
};

START_TEST(without_locks_what_is_written_counts)
{
    int lock;
    setenv("PBS_JOBID", "17", 1);
    write_holder(holders[_i].host, holders[_i].ended ? ended_process() : (long)getpid(), holders[_i].job);
    lock_error = holders[_i].locks ? 0 : ENOLCK;
    if (!holders[_i].taken) {
        assert_refused("if it has ended, remove the file .lock");
        assert_refused(holders[_i].host);
        return;
    }
    assert_taken(&lock);
    run_lock_release(support_folder, &lock);
}
END_TEST

static bool local_in(const char *table)
{
    FILE *mounts = fmemopen((void *)table, strlen(table), "r");
    bool local = run_lock_is_local(mounts, 0, 45);
    fclose(mounts);
    return local;
}

START_TEST(mounts_whose_locks_are_local)
{
    static const char disk[] =
        "25 1 0:44 / / rw,relatime shared:1 - nfs server:/a rw,nolock\n26 25 8:1 / /x rw - ext4 /dev/sda1 rw\n";
    char table[512];
    static const struct {
        const char *options;
        bool local;
    } rows[] = {{"rw,vers=4.2,local_lock=none", false},
                {"rw,vers=3,local_lock=all", true},
                {"rw,nolock", true},
                {"rw,local_lock=posix", true},
                {"rw,flock", false},
                {"rw,localflock", true}};
    ck_assert(!local_in(disk));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(table, sizeof table, "%s27 25 0:45 / /home/nolock rw,relatime shared:1 - nfs4 server:/home/nolock %s\n", disk,
                 rows[i].options);
        ck_assert_msg(local_in(table) == rows[i].local, "%s", rows[i].options);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run_lock");
    TCase *tests = tcase_create("run_lock");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, the_second_is_told_who_the_first_is);
    tcase_add_test(tests, a_run_that_was_killed_keeps_nobody_out);
    tcase_add_loop_test(tests, what_makes_no_sense_keeps_nobody_out, 0, sizeof senseless / sizeof *senseless);
    tcase_add_test(tests, nothing_else_is_written_to_under_that_name);
    tcase_add_test(tests, a_file_that_was_removed_locks_nothing);
    tcase_add_test(tests, the_file_of_another_run_is_not_removed);
    tcase_add_loop_test(tests, without_locks_what_is_written_counts, 0, sizeof holders / sizeof *holders);
    tcase_add_test(tests, mounts_whose_locks_are_local);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

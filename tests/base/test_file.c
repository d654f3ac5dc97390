/* Files among those of others: what is replaced and what is not, and that nothing waits. */
#include "vgg11/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/failing_sync.h"
#include "support/support.h"

enum { PATH_BYTES = 256 };
static char named[PATH_BYTES], canary[PATH_BYTES]; /* what is opened, and what must stay as it is */

/* The linker replaces these calls (--wrap, see CMakeLists.txt). */
static unsigned long long guess;    /* what getrandom() gives, if not 0 */
static const char *link_instead_to; /* the next unlinkat() finds a folder, which is a link to this one after it */

ssize_t __real_getrandom(void *buffer, size_t bytes, unsigned flags);
ssize_t __wrap_getrandom(void *buffer, size_t bytes, unsigned flags);
ssize_t __wrap_getrandom(void *buffer, size_t bytes, unsigned flags)
{
    if (!guess || bytes != sizeof guess) return __real_getrandom(buffer, bytes, flags);
    memcpy(buffer, &guess, bytes);
    return (ssize_t)bytes;
}

int __real_unlinkat(int folder, const char *name, int flags);
int __wrap_unlinkat(int folder, const char *name, int flags);
int __wrap_unlinkat(int folder, const char *name, int flags)
{
    int code = __real_unlinkat(folder, name, flags), error = errno;
    if (link_instead_to && flags == 0) {
        ck_assert_int_eq(__real_unlinkat(folder, name, AT_REMOVEDIR), 0);
        ck_assert_int_eq(symlinkat(link_instead_to, folder, name), 0);
        link_instead_to = NULL;
    }
    errno = error;
    return code;
}

static const char *in_folder(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", support_folder, name);
    return path;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void assert_holds(const char *path, const char *text)
{
    char found[64] = "";
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s is gone", path);
    found[fread(found, 1, sizeof found - 1, file)] = '\0';
    fclose(file);
    ck_assert_str_eq(found, text);
}

static void set_up(void)
{
    support_open_folder();
    snprintf(named, sizeof named, "%s", in_folder("named"));
    snprintf(canary, sizeof canary, "%s", in_folder("canary"));
    write_text(canary, "untouched");
}

static vgg_status replace(void) { return file_replace_text(named, "new", 3); }

static void assert_is_file(const char *path)
{
    struct stat facts;
    ck_assert_int_eq(lstat(path, &facts), 0);
    ck_assert(S_ISREG(facts.st_mode) && facts.st_nlink == 1);
}

START_TEST(a_file_is_replaced_whole)
{
    write_text(named, "something older and longer");
    int entries = support_count_entries(support_folder);
    ck_assert_int_eq(replace(), VGG_OK);
    assert_holds(named, "new");
    ck_assert_int_eq(support_count_entries(support_folder), entries);
}
END_TEST

START_TEST(links_are_replaced_and_not_followed)
{
    ck_assert_int_eq(symlink(canary, named), 0);
    ck_assert_int_eq(replace(), VGG_OK);
    assert_is_file(named);
    unlink(named);
    ck_assert_int_eq(link(canary, named), 0);
    ck_assert_int_eq(replace(), VGG_OK);
    assert_is_file(named);
    assert_holds(named, "new");
    assert_holds(canary, "untouched");
}
END_TEST

START_TEST(until_it_is_done_the_old_one_stays)
{
    write_text(named, "old");
    int entries = support_count_entries(support_folder);
    file_replacement file;
    ck_assert_int_eq(file_replace_begin(named, &file), VGG_OK);
    ck_assert_int_eq(file_write_all(file.file, named, "new", 3), VGG_OK);
    assert_holds(named, "old");
    file_replace_cancel(&file);
    assert_holds(named, "old");
    ck_assert_int_eq(support_count_entries(support_folder), entries);
}
END_TEST

START_TEST(a_write_that_fails_leaves_the_old_one)
{
    struct rlimit before, tight;
    write_text(named, "old");
    int entries = support_count_entries(support_folder);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    tight = before;
    tight.rlim_cur = 2;
    setrlimit(RLIMIT_FSIZE, &tight);
    vgg_status status = replace();
    setrlimit(RLIMIT_FSIZE, &before);
    ck_assert_int_eq(status, VGG_IO_ERROR);
    ck_assert_ptr_nonnull(strstr(vgg_message(), named));
    assert_holds(named, "old");
    ck_assert_int_eq(support_count_entries(support_folder), entries);
}
END_TEST

/* Each of these was once followed, waited on, or replaced. */
static void make_pipe(void) { ck_assert_int_eq(mkfifo(named, 0600), 0); }
static void make_folder(void) { ck_assert_int_eq(mkdir(named, 0700), 0); }
static void make_link(void) { ck_assert_int_eq(symlink(canary, named), 0); }
static void make_link_to_nothing(void) { ck_assert_int_eq(symlink(in_folder("nothing"), named), 0); }
static void make_second_name(void) { ck_assert_int_eq(link(canary, named), 0); }

static const struct {
    void (*make)(void);
    bool read, own, replaced; /* can be */
} others[] = {
    {make_pipe, false, false, false},           {make_folder, false, false, false},    {make_link, true, false, true},
    {make_link_to_nothing, false, false, true}, {make_second_name, true, false, true},
};

static void assert_outcome(vgg_status status, bool right)
{
    ck_assert_msg(status == (right ? VGG_OK : VGG_IO_ERROR), "status %d (%s)", status, vgg_message());
    ck_assert(right || strstr(vgg_message(), named) != NULL);
}

START_TEST(other_things_of_that_name)
{
    int file = -1;
    others[_i].make();
    vgg_status status = file_open_to_read(named, &file);
    if (status == VGG_OK) close(file);
    assert_outcome(status, others[_i].read);
    status = file_open_own(named, &file);
    if (status == VGG_OK) close(file);
    assert_outcome(status, others[_i].own);
    assert_outcome(replace(), others[_i].replaced);
    assert_holds(canary, "untouched");
    ck_assert_int_ne(access(in_folder("nothing"), F_OK), 0);
}
END_TEST

START_TEST(devices_are_refused)
{
    int file;
    ck_assert_int_eq(file_open_to_read("/dev/zero", &file), VGG_IO_ERROR);
    ck_assert_int_eq(file_open_own("/dev/null", &file), VGG_IO_ERROR);
}
END_TEST

START_TEST(an_own_file_is_made_or_opened_as_it_is)
{
    int file;
    ck_assert_int_eq(file_open_own(named, &file), VGG_OK);
    ck_assert_int_eq(file_write_all(file, named, "mine", 4), VGG_OK);
    close(file);
    ck_assert_int_eq(file_open_own(named, &file), VGG_OK);
    close(file);
    assert_holds(named, "mine");
}
END_TEST

START_TEST(temporary_names_are_new_and_beside)
{
    char first[FILE_TEMPORARY_MAX], second[FILE_TEMPORARY_MAX];
    file_temporary_name(named, first);
    file_temporary_name(named, second);
    ck_assert_str_ne(first, second);
    ck_assert_int_eq(strncmp(first, named, strlen(support_folder) + 1), 0);
    file_temporary_name("no-folder", first);
    ck_assert_int_eq(strncmp(first, "./", 2), 0);
}
END_TEST

/* Somebody else knew it, and put a file or a link there. */
START_TEST(a_temporary_name_that_is_taken_is_not_written_to)
{
    char temporary[FILE_TEMPORARY_MAX];
    guess = 7;
    file_temporary_name(named, temporary);
    for (int is_link = 0; is_link < 2; is_link++) {
        if (is_link)
            ck_assert_int_eq(symlink(canary, temporary), 0);
        else
            write_text(temporary, "taken");
        ck_assert_int_eq(replace(), VGG_IO_ERROR);
        assert_holds(temporary, is_link ? "untouched" : "taken");
        assert_holds(canary, "untouched");
        unlink(temporary);
    }
    guess = 0;
}
END_TEST

/* First the file, then its folder: only then is it reported as written. */
START_TEST(what_cannot_be_synced_is_not_reported_as_written)
{
    write_text(named, "old");
    int entries = support_count_entries(support_folder);
    for (int at = 1; at <= 3; at++) {
        sync_that_fails = at;
        vgg_status status = replace();
        ck_assert_int_eq(status, at <= 2 ? VGG_IO_ERROR : VGG_OK);
        ck_assert(at > 2 || strstr(vgg_message(), at == 1 ? "cannot sync" : "cannot sync the folder") != NULL);
        assert_holds(named, at == 1 ? "old" : "new");
        ck_assert_int_eq(support_count_entries(support_folder), entries);
    }
    sync_that_fails = 0;
}
END_TEST

/* A name in a folder is only there to stay once that folder was synced, and so for each that was made. */
START_TEST(folders_are_made_with_those_that_they_lie_in)
{
    bool made;
    ck_assert_int_eq(file_make_folders(in_folder("a/b/c")), VGG_OK);
    ck_assert(file_is_folder(in_folder("a/b/c")));
    ck_assert_int_eq(file_make_folder(in_folder("a/b/c"), &made), VGG_OK);
    ck_assert(!made);
    ck_assert_int_eq(rmdir(in_folder("a/b/c")), 0);
    ck_assert_int_eq(file_make_folder(in_folder("a/b/c"), &made), VGG_OK);
    ck_assert(made);
    ck_assert_int_eq(file_make_folders(in_folder("canary/within")), VGG_IO_ERROR);
    ck_assert_ptr_nonnull(strstr(vgg_message(), "canary/within"));
    for (int at = 1; at <= 3; at++) {
        sync_that_fails = at;
        ck_assert_int_eq(file_make_folders(in_folder("a/x/y")), at <= 2 ? VGG_IO_ERROR : VGG_OK);
        rmdir(in_folder("a/x/y"));
        ck_assert_int_eq(rmdir(in_folder("a/x")), 0);
    }
    sync_that_fails = 0;
}
END_TEST

/* A folder that becomes a link to another while it is being removed. */
START_TEST(a_link_is_not_followed_into_a_folder)
{
    char victim[PATH_BYTES], inside[PATH_BYTES];
    snprintf(victim, sizeof victim, "%s/victim", support_folder);
    snprintf(inside, sizeof inside, "%s/victim/kept", support_folder);
    ck_assert_int_eq(mkdir(victim, 0700), 0);
    write_text(inside, "kept");
    ck_assert_int_eq(mkdir(named, 0700), 0);
    link_instead_to = victim;
    int parent = open(support_folder, O_RDONLY | O_DIRECTORY);
    file_remove_at(parent, strrchr(named, '/') + 1);
    close(parent);
    ck_assert_ptr_null(link_instead_to);
    assert_holds(inside, "kept");
}
END_TEST

START_TEST(only_temporaries_are_cleaned_up)
{
    char temporary[FILE_TEMPORARY_MAX], within[FILE_TEMPORARY_MAX + 8], linked[FILE_TEMPORARY_MAX], folder[PATH_BYTES];
    snprintf(folder, sizeof folder, "%s", in_folder("folder"));
    snprintf(within, sizeof within, "%s/kept", folder);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    write_text(within, "kept");
    int entries = support_count_entries(support_folder);
    file_temporary_name(named, temporary);
    write_text(temporary, "left");
    file_temporary_name(named, linked);
    ck_assert_int_eq(symlink(folder, linked), 0);
    file_temporary_name(named, temporary);
    ck_assert_int_eq(mkdir(temporary, 0700), 0);
    snprintf(within, sizeof within, "%s/left", temporary);
    write_text(within, "left");
    file_remove_temporaries(support_folder);
    ck_assert_int_eq(support_count_entries(support_folder), entries);
    assert_holds(in_folder("folder/kept"), "kept");
    file_remove_temporaries(in_folder("nowhere"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("file");
    TCase *tests = tcase_create("file");
    tcase_add_checked_fixture(tests, set_up, support_close_folder);
    tcase_add_test(tests, a_file_is_replaced_whole);
    tcase_add_test(tests, links_are_replaced_and_not_followed);
    tcase_add_test(tests, until_it_is_done_the_old_one_stays);
    tcase_add_test(tests, a_write_that_fails_leaves_the_old_one);
    tcase_add_loop_test(tests, other_things_of_that_name, 0, sizeof others / sizeof *others);
    tcase_add_test(tests, devices_are_refused);
    tcase_add_test(tests, an_own_file_is_made_or_opened_as_it_is);
    tcase_add_test(tests, temporary_names_are_new_and_beside);
    tcase_add_test(tests, a_temporary_name_that_is_taken_is_not_written_to);
    tcase_add_test(tests, what_cannot_be_synced_is_not_reported_as_written);
    tcase_add_test(tests, folders_are_made_with_those_that_they_lie_in);
    tcase_add_test(tests, a_link_is_not_followed_into_a_folder);
    tcase_add_test(tests, only_temporaries_are_cleaned_up);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

/* Power that fails during saves. The calls that change the folder are recorded (--wrap, see CMakeLists.txt), with what the disk must hold
 * after each: data that was synced, and names as they were when the folder was synced. The rest may be there or not. Of each moment
 * several such disks are laid out, and each must hold a checkpoint that is sound: never an older one than the newest whose save had
 * been reported. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint/saving.h"
#include "checkpoint/wrapped_calls.h"
#include "support/support.h"
#include "vgg11/base/log.h"
#include "vgg11/base/memory.h"
#include "vgg11/nn/model.h"

enum {
    FILES_MAX = 8,
    CHANGES_MAX = 32,
    FOLDER_MAX = 1000,
    FILE_NAME_MAX = 64,
    PATH_BYTES = FOLDER_MAX + FILE_NAME_MAX + 1,
    LAST_STEP = 3
};

/* A file, under whatever names. */
typedef struct {
    size_t size;  /* as asked for, or written */
    size_t done;  /* bytes written, from its beginning */
    size_t safe;  /* of those, synced */
    int opened;   /* its descriptor, or -1 */
    int contents; /* of a copy that is never removed */
} disk_file;

/* A name that appears (file >= 0) or goes. */
typedef struct {
    char name[FILE_NAME_MAX];
    int file;
} name_change;

static disk_file files[FILES_MAX];
static int file_count;
static name_change changes[CHANGES_MAX]; /* since the beginning */
static int change_count, safe_changes;
static bool recording;
static int folder_file = -1;    /* descriptor of the folder, while it is open */
static uint64_t reported;       /* step of the newest checkpoint whose save has returned */
static char image[FOLDER_MAX];  /* folder in which disks are laid out */
static char copies[FOLDER_MAX]; /* folder of the copies */
static int images, moments;

static void look_at_every_disk(void);

static const char *base_name(const char *path) { return strrchr(path, '/') ? strrchr(path, '/') + 1 : path; }
static bool is_ours(const char *path) { return recording && strncmp(path, support_folder, strlen(support_folder)) == 0; }

static void change_name(const char *path, int file)
{
    ck_assert_int_lt(change_count, CHANGES_MAX);
    name_change *change = &changes[change_count++];
    snprintf(change->name, sizeof change->name, "%s", base_name(path));
    change->file = file;
}

/* The file that has the name after the first `count` changes, or -1. */
static int file_named(const char *name, int count)
{
    int file = -1;
    for (int i = 0; i < count; i++)
        if (strcmp(changes[i].name, name) == 0) file = changes[i].file;
    return file;
}

static disk_file *opened_as(int descriptor)
{
    for (int i = 0; i < file_count; i++)
        if (files[i].opened == descriptor) return &files[i];
    return NULL;
}

static void join(char path[PATH_BYTES], const char *folder, const char *name)
{
    ck_assert_int_lt(snprintf(path, PATH_BYTES, "%s/%s", folder, name), PATH_BYTES);
}

static void copy_of(int file, char path[PATH_BYTES])
{
    char number[16];
    snprintf(number, sizeof number, "%d", file);
    join(path, copies, number);
}

static void new_file(const char *path, int descriptor)
{
    char copy[PATH_BYTES];
    ck_assert_int_lt(file_count, FILES_MAX);
    copy_of(file_count, copy);
    ck_assert_int_eq(__real_link(path, copy), 0);
    files[file_count] = (disk_file){.opened = descriptor, .contents = __real_open(copy, O_RDONLY)};
    change_name(path, file_count++);
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    int opened = __real_open(path, flags, mode);
    if (is_ours(path) && flags & O_DIRECTORY) folder_file = opened;
    if (is_ours(path) && flags & O_CREAT) new_file(path, opened), look_at_every_disk();
    return opened;
}

ssize_t __wrap_write(int descriptor, const void *data, size_t bytes)
{
    disk_file *file = recording ? opened_as(descriptor) : NULL;
    ssize_t done = __real_write(descriptor, data, bytes);
    if (!file) return done;
    file->done += (size_t)done;
    if (file->size < file->done) file->size = file->done;
    look_at_every_disk();
    return done;
}

int __wrap_posix_fallocate(int descriptor, off_t offset, off_t bytes)
{
    disk_file *file = recording ? opened_as(descriptor) : NULL;
    if (file) file->size = (size_t)(offset + bytes);
    return __real_posix_fallocate(descriptor, offset, bytes);
}

int __wrap_fsync(int descriptor)
{
    disk_file *file = recording ? opened_as(descriptor) : NULL;
    if (file) file->safe = file->done;
    if (recording && descriptor == folder_file) safe_changes = change_count;
    if (recording) look_at_every_disk();
    return 0;
}

int __wrap_close(int descriptor)
{
    disk_file *file = recording ? opened_as(descriptor) : NULL;
    if (file) file->opened = -1;
    if (descriptor == folder_file) folder_file = -1;
    return __real_close(descriptor);
}

int __wrap_rename(const char *from, const char *to)
{
    int code = __real_rename(from, to);
    if (code != 0 || !is_ours(from)) return code;
    change_name(to, file_named(base_name(from), change_count));
    change_name(from, -1);
    look_at_every_disk();
    return code;
}

int __wrap_link(const char *from, const char *to)
{
    int code = __real_link(from, to);
    if (code == 0 && is_ours(from)) change_name(to, file_named(base_name(from), change_count)), look_at_every_disk();
    return code;
}

int __wrap_unlink(const char *path)
{
    int code = __real_unlink(path);
    if (code == 0 && is_ours(path)) change_name(path, -1), look_at_every_disk();
    return code;
}

/* The first `bytes` bytes of the file, and zeros up to its size or no more, under a name of the image. */
static void lay_out(const disk_file *file, const char *name, size_t bytes, bool zeros)
{
    char path[PATH_BYTES];
    join(path, image, name);
    int made = __real_open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(made, 0);
    off_t from = 0;
    while ((size_t)from < bytes) ck_assert_int_gt(copy_file_range(file->contents, &from, made, NULL, bytes - (size_t)from, 0), 0);
    if (zeros) ck_assert_int_eq(ftruncate(made, (off_t)file->size), 0);
    __real_close(made);
}

static void assert_holds_a_checkpoint(int names)
{
    char newest[CHECKPOINT_PATH_MAX], when[128];
    checkpoint_state state;
    snprintf(when, sizeof when, "moment %d, %d of %d changes of names, step %" PRIu64 " saved", moments, names, change_count,
             reported);
    ck_assert_msg(checkpoint_find_newest(image, newest) == VGG_OK, "%s: %s", when, vgg_message());
    ck_assert_msg(checkpoint_read_state(newest, &state) == VGG_OK, "%s: %s", when, vgg_message());
    ck_assert_msg(state.position.step >= reported, "%s: only step %" PRIu64 " is left", when, state.position.step);
    checkpoint_state_clear(&state);
    images++;
}

/* The disk on which so many changes of names have come, and data that was not synced to the part (of 2) or as zeros. A file whose data
 * is whole is the file itself: what differs is copied. */
static void look_at_disk(int names, int part, bool zeros)
{
    support_remove_folder(image);
    ck_assert_int_eq(mkdir(image, 0700), 0);
    for (int i = 0; i < names; i++) {
        const name_change *change = &changes[i];
        bool last = change->file >= 0 && file_named(change->name, names) == change->file;
        for (int later = i + 1; later < names; later++) last = last && strcmp(changes[later].name, change->name) != 0;
        if (!last) continue;
        const disk_file *file = &files[change->file];
        size_t bytes = file->safe + (file->done - file->safe) * (size_t)part / 2;
        char copy[PATH_BYTES], path[PATH_BYTES];
        copy_of(change->file, copy);
        join(path, image, change->name);
        if (bytes == file->size)
            ck_assert_int_eq(__real_link(copy, path), 0);
        else
            lay_out(file, change->name, bytes, zeros);
    }
    assert_holds_a_checkpoint(names);
}

static void look_at_every_disk(void)
{
    recording = false;
    bool all_safe = true;
    for (int i = 0; i < file_count; i++) all_safe = all_safe && files[i].safe == files[i].size;
    for (int names = safe_changes; names <= change_count; names++) {
        look_at_disk(names, 0, true);
        if (all_safe) continue;
        look_at_disk(names, 0, false);
        look_at_disk(names, 1, true);
        look_at_disk(names, 2, false);
    }
    moments++;
    recording = true;
}

/* The first save: it is on the disk before the power can fail. */
static void begin_with(const char *path, const float *weights, const float *velocity)
{
    struct stat facts;
    ck_assert_msg(saving_save(path, 1, weights, velocity) == VGG_OK, "%s", vgg_message());
    ck_assert_int_eq(stat(path, &facts), 0);
    new_file(path, -1);
    files[0].size = files[0].done = files[0].safe = (size_t)facts.st_size;
    safe_changes = change_count;
    reported = 1;
}

static void save_and_prune(uint64_t step, const float *weights, const float *velocity)
{
    char path[CHECKPOINT_PATH_MAX], best[CHECKPOINT_PATH_MAX];
    size_t passed_over;
    checkpoint_path(support_folder, step, path);
    snprintf(best, sizeof best, "%s/best.safetensors", support_folder);
    recording = true;
    ck_assert_msg(saving_save(path, step, weights, velocity) == VGG_OK, "%s", vgg_message());
    reported = step;
    ck_assert_int_eq(checkpoint_alias(path, best), VGG_OK);
    ck_assert_int_eq(checkpoint_prune(support_folder, 1, path, (checkpoint_steps){0}, &passed_over), VGG_OK);
    recording = false;
}

START_TEST(a_sound_checkpoint_is_always_left)
{
    size_t bytes = model_flat_count() * sizeof(float);
    float *weights = saving_flat(1), *velocity = saving_flat(2);
    char first[CHECKPOINT_PATH_MAX];
    snprintf(image, sizeof image, "%s/image", support_folder);
    snprintf(copies, sizeof copies, "%s/copies", support_folder);
    ck_assert_int_eq(mkdir(copies, 0700), 0);
    vgg_log_configure(VGG_LOG_ERROR, true);
    checkpoint_path(support_folder, 1, first);
    begin_with(first, weights, velocity);
    for (uint64_t step = 2; step <= LAST_STEP; step++) save_and_prune(step, weights, velocity);
    printf("%d disks of %d moments\n", images, moments);
    ck_assert_int_gt(moments, 4 * MODEL_TENSORS); /* every write of two saves was among them */
    for (int i = 0; i < file_count; i++) __real_close(files[i].contents);
    support_remove_folder(image), support_remove_folder(copies);
    vgg_unmap(weights, bytes), vgg_unmap(velocity, bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("power_loss");
    TCase *tests = tcase_create("power_loss");
    tcase_set_timeout(tests, 0);
    tcase_add_checked_fixture(tests, support_open_folder, support_close_folder);
    tcase_add_test(tests, a_sound_checkpoint_is_always_left);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}

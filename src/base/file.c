#include "vgg11/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY ".vgg11-"

/* Checks what was opened; on failure it is closed. */
static vgg_status check_regular(const char *path, int file, nlink_t names_most)
{
    struct stat facts;
    vgg_status status = VGG_OK;
    if (fstat(file, &facts) != 0)
        status = vgg_fail_errno(VGG_IO_ERROR, "%s: cannot be examined", path);
    else if (!S_ISREG(facts.st_mode))
        status = vgg_fail(VGG_IO_ERROR, "%s: is not a regular file", path);
    else if (facts.st_nlink > names_most)
        status = vgg_fail(VGG_IO_ERROR,
                          "%s: is one of %lu names of a file, which would all change with it; remove it, or copy the file", path,
                          (unsigned long)facts.st_nlink);
    if (status != VGG_OK) close(file);
    return status;
}

/* Opened without blocking, since the name may be that of a pipe. */
vgg_status file_open_to_read(const char *path, int *file)
{
    int opened = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (opened < 0) return vgg_fail_errno(VGG_IO_ERROR, "%s: cannot open", path);
    VGG_TRY(check_regular(path, opened, (nlink_t)-1));
    *file = opened;
    return VGG_OK;
}

vgg_status file_open_own(const char *path, int *file)
{
    int opened = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
    if (opened < 0 && errno == ELOOP)
        return vgg_fail(VGG_IO_ERROR, "%s: is a symbolic link, which may lead anywhere; remove it", path);
    if (opened < 0) return vgg_fail_errno(VGG_IO_ERROR, "%s: cannot open", path);
    VGG_TRY(check_regular(path, opened, 1));
    *file = opened;
    return VGG_OK;
}

vgg_status file_write_all(int file, const char *path, const void *data, size_t bytes)
{
    const char *from = data;
    while (bytes > 0) {
        ssize_t done = write(file, from, bytes);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return vgg_fail_errno(VGG_IO_ERROR, "%s: cannot write", path);
        from += done;
        bytes -= (size_t)done;
    }
    return VGG_OK;
}

bool file_is_folder(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

void file_folder_of(const char *path, char folder[FILE_PATH_MAX])
{
    char copy[FILE_PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    snprintf(folder, FILE_PATH_MAX, "%s", dirname(copy));
}

void file_temporary_name(const char *path, char temporary[FILE_TEMPORARY_MAX])
{
    char folder[FILE_PATH_MAX];
    unsigned long long letters = (unsigned long long)getpid();
    if (getrandom(&letters, sizeof letters, 0) < 0) letters ^= (unsigned long long)(size_t)&letters;
    file_folder_of(path, folder);
    snprintf(temporary, FILE_TEMPORARY_MAX, "%s/" TEMPORARY "%016llx", folder, letters);
}

/* A link in place of a folder is not followed. NULL if there is none; the caller closes it. */
static DIR *open_folder(int parent, const char *name)
{
    int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream = folder < 0 ? NULL : fdopendir(folder);
    if (!stream && folder >= 0) close(folder);
    return stream;
}

void file_remove_at(int folder, const char *name)
{
    if (unlinkat(folder, name, 0) == 0) return;
    DIR *stream = open_folder(folder, name);
    if (!stream) return;
    for (const struct dirent *entry; (entry = readdir(stream));) unlinkat(dirfd(stream), entry->d_name, 0);
    closedir(stream);
    unlinkat(folder, name, AT_REMOVEDIR);
}

void file_remove_temporaries(const char *folder)
{
    DIR *stream = opendir(folder);
    for (const struct dirent *entry; stream && (entry = readdir(stream));) {
        if (strncmp(entry->d_name, TEMPORARY, strlen(TEMPORARY)) == 0) file_remove_at(dirfd(stream), entry->d_name);
    }
    if (stream) closedir(stream);
}

/* EINVAL: a file system that does not sync folders has nothing to be waited for. */
vgg_status file_sync_folder(const char *path)
{
    char folder[FILE_PATH_MAX];
    file_folder_of(path, folder);
    int opened = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = opened < 0 || (fsync(opened) != 0 && errno != EINVAL);
    vgg_status status = failed ? vgg_fail_errno(VGG_IO_ERROR, "%s: cannot sync the folder", folder) : VGG_OK;
    if (opened >= 0) close(opened);
    return status;
}

/* Who may not read the folder that it lies in cannot sync that either. */
vgg_status file_make_folder(const char *path, bool *made)
{
    char parent[FILE_PATH_MAX];
    bool absent = mkdir(path, 0777) == 0;
    if (made) *made = absent;
    if (!absent) return errno == EEXIST ? VGG_OK : vgg_fail_errno(VGG_IO_ERROR, "%s: cannot make the folder", path);
    file_folder_of(path, parent);
    return access(parent, R_OK) == 0 ? file_sync_folder(path) : VGG_OK;
}

vgg_status file_make_folders(const char *path)
{
    char part[FILE_PATH_MAX];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        VGG_TRY(file_make_folder(part, NULL));
    }
    return file_make_folder(path, NULL);
}

/* A device or a pipe is more than a name, and a link is no more than that. */
static vgg_status check_replaceable(const char *path)
{
    struct stat facts;
    if (lstat(path, &facts) != 0 || S_ISREG(facts.st_mode) || S_ISLNK(facts.st_mode)) return VGG_OK;
    return vgg_fail(VGG_IO_ERROR, "%s: is not a regular file, and is not replaced by one", path);
}

vgg_status file_replace_begin(const char *path, file_replacement *replacement)
{
    VGG_TRY(check_replaceable(path));
    replacement->path = path;
    file_temporary_name(path, replacement->temporary);
    replacement->file = open(replacement->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    return replacement->file >= 0 ? VGG_OK : vgg_fail_errno(VGG_IO_ERROR, "%s: cannot write", path);
}

vgg_status file_replace_close(file_replacement *replacement)
{
    int file = replacement->file;
    replacement->file = -1;
    vgg_status status = fsync(file) == 0 ? VGG_OK : vgg_fail_errno(VGG_IO_ERROR, "%s: cannot sync", replacement->path);
    if (close(file) != 0 && status == VGG_OK) status = vgg_fail_errno(VGG_IO_ERROR, "%s: cannot close", replacement->path);
    if (status != VGG_OK) unlink(replacement->temporary);
    return status;
}

vgg_status file_replace_commit(file_replacement *replacement)
{
    if (replacement->file >= 0) VGG_TRY(file_replace_close(replacement));
    if (rename(replacement->temporary, replacement->path) == 0) return file_sync_folder(replacement->path);
    vgg_status status = vgg_fail_errno(VGG_IO_ERROR, "%s: cannot put in place", replacement->path);
    unlink(replacement->temporary);
    return status;
}

void file_replace_cancel(file_replacement *replacement)
{
    if (replacement->file >= 0) close(replacement->file);
    replacement->file = -1;
    unlink(replacement->temporary);
}

vgg_status file_replace_text(const char *path, const char *text, size_t bytes)
{
    file_replacement replacement;
    VGG_TRY(file_replace_begin(path, &replacement));
    vgg_status status = file_write_all(replacement.file, path, text, bytes);
    if (status == VGG_OK) return file_replace_commit(&replacement);
    file_replace_cancel(&replacement);
    return status;
}

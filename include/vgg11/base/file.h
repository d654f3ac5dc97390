/* Files in folders that others may write to as well: whole or not at all, never through a symbolic link, never waiting on a pipe. */
#ifndef VGG11_BASE_FILE_H
#define VGG11_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "vgg11/base/status.h"

enum { FILE_PATH_MAX = 4096, FILE_TEMPORARY_MAX = FILE_PATH_MAX + 64 };

/* Opens a regular file for reading, wherever links lead. VGG_IO_ERROR, naming it, also for a pipe or a device, without waiting on it. */
vgg_status file_open_to_read(const char *path, int *file);

/* Opens or makes a regular file, for reading and writing, that is this program's own. VGG_IO_ERROR, naming it, for anything else that
 * has the name: a symbolic link, a further name of a file elsewhere, a pipe. */
vgg_status file_open_own(const char *path, int *file);

/* All of it, however often the system takes a part. */
vgg_status file_write_all(int file, const char *path, const void *data, size_t bytes);

/* Writes into `temporary` a name in the folder of `path` that nobody can guess. */
void file_temporary_name(const char *path, char temporary[FILE_TEMPORARY_MAX]);

/* Removes what interrupted writing left in `folder` under such names. Only for who alone writes there. */
void file_remove_temporaries(const char *folder);

/* Removes a file of an open folder, or a folder there with the files in it. */
void file_remove_at(int folder, const char *name);

/* Whether `path` is a folder, or a link to one. */
bool file_is_folder(const char *path);

/* The folder that `path` lies in. */
void file_folder_of(const char *path, char folder[FILE_PATH_MAX]);

/* Makes the names in the folder of `path` last: fsync of the folder. */
vgg_status file_sync_folder(const char *path);

/* Makes the folder, and makes its name last; *made (NULL is fine) tells whether it was not there. VGG_IO_ERROR, naming it. */
vgg_status file_make_folder(const char *path, bool *made);

/* The same with all folders that it lies in. */
vgg_status file_make_folders(const char *path);

/* A file that takes the place of the file or link `path` once it is whole and on the disk. Until then it has a temporary name in the same
 * folder. After a failure of any of these functions, which is VGG_IO_ERROR and names `path`, the temporary file is gone, and `path` is
 * what it was. */
typedef struct {
    const char *path; /* the caller's, and must outlive this */
    char temporary[FILE_TEMPORARY_MAX];
    int file; /* to be written to; -1 once it is closed */
} file_replacement;

vgg_status file_replace_begin(const char *path, file_replacement *replacement);

/* Syncs and closes, so that what was written can be read back. A sync that failed is never tried again: the system may have dropped
 * what it could not write, and would then report success. */
vgg_status file_replace_close(file_replacement *replacement);

/* Closes as above unless that was done, renames, and syncs the folder. */
vgg_status file_replace_commit(file_replacement *replacement);

/* Gives up. */
void file_replace_cancel(file_replacement *replacement);

/* All of this for a text. */
vgg_status file_replace_text(const char *path, const char *text, size_t bytes);

#endif

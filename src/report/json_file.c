#include "report/json_file.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "vgg11/base/file.h"

enum { PATH_BYTES = FILE_PATH_MAX + 64, FILE_BYTES_MAX = 1 << 20 };

vgg_status json_file_read(const char *folder, const char *name, json_t **json)
{
    char path[PATH_BYTES];
    int file;
    *json = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (file_open_to_read(path, &file) != VGG_OK) return VGG_OK;
    off_t bytes = lseek(file, 0, SEEK_END);
    bool fits = bytes >= 0 && bytes <= FILE_BYTES_MAX && lseek(file, 0, SEEK_SET) == 0;
    errno = 0;
    *json = fits ? json_loadfd(file, 0, NULL) : NULL;
    bool starved = !*json && errno == ENOMEM;
    close(file);
    return starved ? vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory to read it", path) : VGG_OK;
}

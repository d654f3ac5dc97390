#include "report/json_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
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
    bool fits = bytes >= 0 && bytes <= FILE_BYTES_MAX;
    errno = 0;
    char *text = fits ? malloc((size_t)bytes + 1) : NULL;
    if (text && pread(file, text, (size_t)bytes, 0) == bytes) *json = json_parse(text, (size_t)bytes, 0, NULL);
    bool starved = !*json && errno == ENOMEM;
    free(text);
    close(file);
    return starved ? vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory to read it", path) : VGG_OK;
}

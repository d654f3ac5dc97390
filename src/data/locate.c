#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vgg11/data/dataset.h"

/* A folder named by hand is taken as it is: using another one in its place would train on the wrong data. */
static vgg_status take_named(const char *named_by, const char *name, char directory[DATASET_PATH_MAX])
{
    struct stat status;
    if (strlen(name) >= DATASET_PATH_MAX) return vgg_fail(VGG_BAD_DATA, "%s %.200s...: the path is too long", named_by, name);
    if (stat(name, &status) != 0) return vgg_fail_errno(VGG_BAD_DATA, "%s %s: cannot be opened", named_by, name);
    if (!S_ISDIR(status.st_mode))
        return vgg_fail(VGG_BAD_DATA, "%s %s: is not a folder; the folder of the four IDX files is wanted", named_by, name);
    strcpy(directory, name);
    return VGG_OK;
}

static bool holds_images(const char *directory)
{
    char path[DATASET_PATH_MAX + 64];
    for (int gzipped = 0; gzipped < 2; gzipped++) {
        snprintf(path, sizeof path, "%s/train-images-idx3-ubyte%s", directory, gzipped ? ".gz" : "");
        if (access(path, R_OK) == 0) return true;
    }
    return false;
}

/* The copy that was installed with this program, wherever the whole tree was moved since. */
static void place_beside_program(char place[DATASET_PATH_MAX])
{
    char program[DATASET_PATH_MAX - 64];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash) *slash = '\0';
    snprintf(place, DATASET_PATH_MAX, "%s/%s", program, VGG_DATA_FROM_PROGRAM);
}

vgg_status dataset_locate(const char *asked, char directory[DATASET_PATH_MAX])
{
    if (asked) return take_named("--data", asked, directory);
    const char *environment = getenv("VGG11_DATA");
    if (environment && *environment) return take_named("VGG11_DATA", environment, directory);
    char beside[DATASET_PATH_MAX];
    place_beside_program(beside);
    const char *const places[] = {beside, VGG_DATA_IN_SOURCE, VGG_DATA_INSTALLED};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (holds_images(places[i])) return take_named("data folder", places[i], directory);
    return vgg_fail(VGG_BAD_DATA,
                    "no data set in %.250s, %.250s or %.250s; --data or VGG11_DATA names the folder of the four IDX files",
                    places[0], places[1], places[2]);
}

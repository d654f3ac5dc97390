#include "app/plan_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Room for the names below the base folder. */
enum { BASE_BYTES = OPTION_TEXT_MAX - 64 };

static bool make_folder(const char *path) { return mkdir(path, 0777) == 0 || errno == EEXIST; }

const char *plan_cache_path(const options *o, char path[OPTION_TEXT_MAX])
{
    if (o->plan_cache) return o->plan_cache;
    char base[BASE_BYTES], folder[OPTION_TEXT_MAX];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache == '/')
        snprintf(base, sizeof base, "%s", cache);
    else if (home && *home == '/')
        snprintf(base, sizeof base, "%.*s/.cache", BASE_BYTES - 16, home);
    else
        return NULL;
    snprintf(folder, sizeof folder, "%s/vgg11_dist", base);
    if (!make_folder(base) || !make_folder(folder)) return NULL;
    snprintf(path, OPTION_TEXT_MAX, "%.*s/plans.tsv", BASE_BYTES, folder);
    return path;
}

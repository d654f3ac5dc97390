#include "app/plan_cache.h"

#include <stdlib.h>

#include "vgg11/base/clock.h"
#include "vgg11/base/file.h"
#include "vgg11/conv/autotune.h"

/* Room for the names below the base folder. */
enum { BASE_BYTES = OPTION_TEXT_MAX - 64 };

static bool make_folder(const char *path) { return file_make_folder(path, NULL) == VGG_OK; }

/* The folder of all programs' caches; false if the environment names none. */
static bool find_base(char base[BASE_BYTES])
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache == '/')
        snprintf(base, BASE_BYTES, "%s", cache);
    else if (home && *home == '/')
        snprintf(base, BASE_BYTES, "%.*s/.cache", BASE_BYTES - 16, home);
    else
        return false;
    return true;
}

/* Where the file is or would be; NULL if there is no place for one. Makes nothing. */
static const char *find_path(const options *o, char path[OPTION_TEXT_MAX])
{
    char base[BASE_BYTES];
    if (o->plan_cache) return o->plan_cache;
    if (!find_base(base)) return NULL;
    snprintf(path, OPTION_TEXT_MAX, "%s/vgg11_dist/plans.tsv", base);
    return path;
}

const char *plan_cache_path(const options *o, char path[OPTION_TEXT_MAX])
{
    char base[BASE_BYTES], folder[OPTION_TEXT_MAX];
    if (o->plan_cache) return o->plan_cache;
    if (!find_base(base)) return NULL;
    snprintf(folder, sizeof folder, "%s/vgg11_dist", base);
    return make_folder(base) && make_folder(folder) ? find_path(o, path) : NULL;
}

/* NULL where no time was recorded. */
static const char *date_of(int64_t seconds, char text[CLOCK_UTC_MAX]) { return seconds == 0 ? NULL : clock_utc_of(seconds, text); }

void plan_cache_print(const options *o)
{
    char place[OPTION_TEXT_MAX], oldest[CLOCK_UTC_MAX], newest[CLOCK_UTC_MAX];
    const char *path = find_path(o, place);
    conv_cache_summary summary;
    if (!path) {
        puts("timed algorithms: no place to keep them (--plan-cache names one)");
    } else if (!conv_cache_summarize(path, &summary)) {
        printf("timed algorithms: none yet in %s\n", path);
    } else {
        printf("timed algorithms: %d choices of this build and processor, %d in all, in %s", summary.own, summary.choices, path);
        if (date_of(summary.oldest, oldest) && date_of(summary.newest, newest)) printf("; timed from %s to %s", oldest, newest);
        if (summary.most_spread >= 0)
            printf("; runs spread by %.0f %% (median) to %.0f %%", 100 * summary.median_spread, 100 * summary.most_spread);
        putchar('\n');
    }
}

static json_t *spread_json(double spread) { return spread < 0 ? json_null() : json_real(spread); }

json_t *plan_cache_json(const options *o)
{
    char place[OPTION_TEXT_MAX], oldest[CLOCK_UTC_MAX], newest[CLOCK_UTC_MAX];
    const char *path = find_path(o, place);
    conv_cache_summary summary = {.median_spread = -1, .most_spread = -1};
    if (path) conv_cache_summarize(path, &summary);
    json_t *place_json = path ? json_string(path) : NULL; /* null also where it is no UTF-8 */
    return json_pack("{s:o?, s:i, s:i, s:s?, s:s?, s:o, s:o}", "path", place_json, "choices", summary.choices, "own_choices",
                     summary.own, "oldest", date_of(summary.oldest, oldest), "newest", date_of(summary.newest, newest),
                     "median_spread", spread_json(summary.median_spread), "most_spread", spread_json(summary.most_spread));
}

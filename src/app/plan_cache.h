/* Private to app: where timings of algorithms are kept between runs. */
#ifndef VGG11_APP_PLAN_CACHE_H
#define VGG11_APP_PLAN_CACHE_H

#include <jansson.h>

#include "app/options/options.h"

/* The file that --plan-cache names, or the user's own (its folder is made); NULL if there is no place for one, and each run
 * then times afresh. The result is o's or `path`. */
const char *plan_cache_path(const options *o, char path[OPTION_TEXT_MAX]);

/* One line on standard output: where that file is, and what it holds of this build and processor. Makes no folder. */
void plan_cache_print(const options *o);

/* The same as an object; NULL without memory. */
json_t *plan_cache_json(const options *o);

#endif

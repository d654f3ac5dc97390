/* Private to report and app: wrong answers of an evaluation in JSON. */
#ifndef VGG11_REPORT_MISTAKE_LIST_H
#define VGG11_REPORT_MISTAKE_LIST_H

#include <jansson.h>

#include "vgg11/base/run_events.h"

/* A list of {"image", "label", "answer", "probability", "png"}, the last in base64 (RFC 4648, section 4) where there is a picture; NULL
 * without memory. */
json_t *mistake_list_json(const run_mistake *mistakes, int count);

#endif

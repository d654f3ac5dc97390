/* Private to report and the rooms above it: the JSON files of a run folder. */
#ifndef VGG11_REPORT_JSON_FILE_H
#define VGG11_REPORT_JSON_FILE_H

#include <jansson.h>

#include "vgg11/base/status.h"

/* Reads `<folder>/<name>`. *json is NULL for what is not there, is damaged, or is larger than such a file can be; VGG_UNAVAILABLE without
 * memory. The caller drops the reference. */
vgg_status json_file_read(const char *folder, const char *name, json_t **json);

#endif

/* Private to app: --json. */
#ifndef VGG11_APP_JSON_OUTPUT_H
#define VGG11_APP_JSON_OUTPUT_H

#include <jansson.h>

#include "vgg11/base/status.h"

/* Prints `object` and a newline to standard output, and drops the reference. VGG_IO_ERROR, "standard output: cannot write<what>". What
 * is still in its buffer, main() sees to. */
vgg_status json_output(json_t *object, const char *what);

#endif

/* Pictures by gnuplot, where it is installed. */
#ifndef VGG11_REPORT_GNUPLOT_H
#define VGG11_REPORT_GNUPLOT_H

#include <stddef.h>
#include <stdio.h>

#include "vgg11/base/status.h"

enum { GNUPLOT_LIMIT_S = 60 };

/* Runs gnuplot on `script` without a word on any stream, and puts the files that it makes, of those named (NULL ends them), into the open
 * folder, in place of what has their names there. VGG_UNAVAILABLE if it is not installed, VGG_IO_ERROR if it fails or has not ended
 * after limit_s: then it is killed. */
vgg_status gnuplot_draw(int folder, const char *const files[], const char *script, size_t bytes, int limit_s);

/* The same with a script that `print` writes, into the folder at `path`, which is made if it is not there, within GNUPLOT_LIMIT_S. That there
 * are no pictures is a warning, which names --plot; VGG_IO_ERROR if there can be no such folder, VGG_UNAVAILABLE without memory. */
vgg_status gnuplot_draw_into(const char *path, const char *const files[], void (*print)(FILE *script, const void *context),
                             const void *context);

#endif

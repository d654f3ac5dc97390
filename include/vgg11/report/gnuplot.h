/* Pictures by gnuplot, where it is installed. */
#ifndef VGG11_REPORT_GNUPLOT_H
#define VGG11_REPORT_GNUPLOT_H

#include <stdbool.h>
#include <stddef.h>

/* Runs gnuplot in `folder` on `script`, without a word on any stream. False if it is not there or did not succeed. */
bool gnuplot_run(const char *folder, const char *script, size_t bytes);

#endif

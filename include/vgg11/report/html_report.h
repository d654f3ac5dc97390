/* A run as one HTML page. */
#ifndef VGG11_REPORT_HTML_REPORT_H
#define VGG11_REPORT_HTML_REPORT_H

#include <stdbool.h>

#include "vgg11/base/status.h"

/* Writes the page `path`, whole or not at all, of the run folder `folder` as it stands: from its metrics.jsonl and, where they are there,
 * config.json and summary.json. The page needs nothing else: it has no scripts, and asks for nothing. A run may be under way
 * (`running`: it is known to be), or have ended anyhow. VGG_IO_ERROR, naming the file, if metrics.jsonl cannot be read or is of no run,
 * or the page cannot be written; VGG_UNAVAILABLE without memory. */
vgg_status html_report_write(const char *folder, const char *path, bool running);

#endif

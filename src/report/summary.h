/* Private to report: summary.json, the run in one small file. */
#ifndef VGG11_REPORT_SUMMARY_H
#define VGG11_REPORT_SUMMARY_H

#include <jansson.h>

#include "report/totals.h"
#include "vgg11/base/run_events.h"
#include "vgg11/base/status.h"

/* Writes <folder>/summary.json whole or not at all: how the run stands at the `end` of its last process, and its `totals`.
 * `config_json`, `provenance_json` and `confusion`, the counts of the last evaluation, may be NULL. */
vgg_status summary_write(const char *folder, const run_start_event *start, const run_end_event *end, const run_totals *totals,
                         const char *message, const char *config_json, const char *provenance_json, const json_t *confusion);

#endif

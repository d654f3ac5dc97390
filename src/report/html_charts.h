/* Private to report: the charts of a run's page. */
#ifndef VGG11_REPORT_HTML_CHARTS_H
#define VGG11_REPORT_HTML_CHARTS_H

#include <stdio.h>

#include "report/run_record.h"

/* A figure each. `set` is what is evaluated on; `clip_norm` what gradients are clipped to, 0 if they are not or it is not known. */
void html_write_charts(FILE *out, const run_record *record, const char *set, double clip_norm);

#endif

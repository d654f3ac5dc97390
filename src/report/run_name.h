/* Private to report: what a run is called. */
#ifndef VGG11_REPORT_RUN_NAME_H
#define VGG11_REPORT_RUN_NAME_H

enum { RUN_NAME_MAX = 256 };

/* The run folder's own name, without those above it, also where `folder` is "." or ends in a slash; any bytes but '/' may be in it. */
void run_name_of(const char *folder, char name[RUN_NAME_MAX]);

#endif

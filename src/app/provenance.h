/* Private to app: what was run, where and when, to be kept with results. */
#ifndef VGG11_APP_PROVENANCE_H
#define VGG11_APP_PROVENANCE_H

#include <jansson.h>

#include "vgg11/base/status.h"
#include "vgg11/comm/comm.h"

/* Collective. On rank 0 a JSON text, for free(): version, commit and build of the program, command line, working directory, hosts (with
 * the ranks of each), processor, kernel, MPI, libraries, job of the batch system, time; NULL on the others. VGG_UNAVAILABLE without
 * memory. */
vgg_status provenance_gather(comm *c, char **json);

/* The commit that was built, with "+" where sources were changed since; NULL where it was not built in a git repository. */
const char *provenance_commit(void);

/* The libraries of this build by name, with the version of each that is in this process, or null. NULL without memory. */
json_t *provenance_libraries(void);

/* The version of library `index` as `info` prints it, and its name; false behind the last. */
bool provenance_library(int index, const char **name, const char **version);

#endif

/* Private to app: one run at a time in a run folder. */
#ifndef VGG11_APP_RUN_LOCK_H
#define VGG11_APP_RUN_LOCK_H

#include <stdbool.h>
#include <stdio.h>

#include "vgg11/base/status.h"

enum { RUN_LOCK_FREE = -1 };

/* Takes <folder>/.lock for this process, until run_lock_release() or its end, whatever ends it. The file says who holds it: host,
 * process, job and time. VGG_IO_ERROR, naming these, if another run does. The system's lock decides; where the file system has none, or
 * none that other machines see, what the file says does. */
vgg_status run_lock_take(const char *folder, const char *host, int *lock);

/* Whether some process holds the lock of the folder now, as far as the system's lock tells on this machine. Nothing is changed. */
bool run_lock_is_held(const char *folder);

/* Nothing is done for RUN_LOCK_FREE. */
void run_lock_release(const char *folder, int *lock);

/* Does the table of mounts (as /proc/self/mountinfo) say that other machines do not see locks on this device? */
bool run_lock_is_local(FILE *mounts, unsigned major, unsigned minor);

#endif

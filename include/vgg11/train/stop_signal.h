/* SIGUSR1: save after the current step and stop. */
#ifndef VGG11_TRAIN_STOP_SIGNAL_H
#define VGG11_TRAIN_STOP_SIGNAL_H

#include <stdbool.h>

/* stop_signal_watch() installs the handler and unblocks the signal, so that one sent while it was blocked counts, too;
 * stop_signal_unwatch() restores what was there before. Calls may be nested: the outermost pair counts. For the main thread
 * only. */
void stop_signal_watch(void);
void stop_signal_unwatch(void);

/* Whether this process has received one since the outermost stop_signal_watch(). */
bool stop_signal_seen(void);

#endif

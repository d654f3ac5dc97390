/* SIGUSR1: save after the current step and stop. */
#ifndef VGG11_TRAIN_STOP_SIGNAL_H
#define VGG11_TRAIN_STOP_SIGNAL_H

#include <stdbool.h>

/* Installs the handler and lets the signal through, also one that came while it was blocked; puts back what was there before.
 * The calls may be nested: the outermost pair counts. To be called from the main thread. */
void stop_signal_watch(void);
void stop_signal_unwatch(void);

/* Has this process got one since the outermost stop_signal_watch()? */
bool stop_signal_seen(void);

#endif

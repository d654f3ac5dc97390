/* SIGUSR1: save after the current step and stop. */
#ifndef VGG11_TRAIN_STOP_SIGNAL_H
#define VGG11_TRAIN_STOP_SIGNAL_H

#include <stdbool.h>

/* Installs the handler, and puts back what was there before. Not nested. */
void stop_signal_watch(void);
void stop_signal_unwatch(void);

/* Has this process got one since stop_signal_watch()? */
bool stop_signal_seen(void);

#endif

/* SIGUSR1, SIGTERM, SIGINT, SIGHUP: save after the current step, or within a batch of an evaluation, and stop. */
#ifndef VGG11_TRAIN_STOP_SIGNAL_H
#define VGG11_TRAIN_STOP_SIGNAL_H

#include "vgg11/comm/comm.h"

/* Makes the signals wait, from the very start of a process on, until stop_signal_watch() or stop_signal_release(), which gives
 * them back what they did before. */
void stop_signal_hold(void);
void stop_signal_release(void);

/* Installs the handler and lets the signals through, also those that came while they were blocked; puts back what was there
 * before. SIGTERM, SIGINT and SIGHUP stay ignored where they were, as nohup leaves them; and when one of them comes once more, a
 * second or more after the first, it ends the process at once, so that nobody has to wait for a step that does not end. The
 * calls may be nested: the outermost pair counts. To be called from the main thread. */
void stop_signal_watch(void);
void stop_signal_unwatch(void);

/* The first signal that this process got since the outermost stop_signal_watch(); 0 if none came. */
int stop_signal_seen(void);

/* Collective. That of the ranks, the same on all; 0 if none has got any. */
int stop_signal_agree(comm *c);

/* "SIGTERM" */
const char *stop_signal_name(int number);

#endif

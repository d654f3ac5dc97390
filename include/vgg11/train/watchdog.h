/* Ends a process that no longer gets on, or whose launcher is gone, with one line that says where it was and status VGG_HUNG, so
 * that the launcher ends the others: a rank that is stopped, or that waits for one that will not come, says nothing by itself.
 *
 * A thread looks twice a second whether the process has moved since. It makes no MPI call. Time in which the process as a whole
 * did not run (Ctrl-Z, a suspended machine) does not count. */
#ifndef VGG11_TRAIN_WATCHDOG_H
#define VGG11_TRAIN_WATCHDOG_H

#include <stdint.h>

#include "vgg11/comm/comm.h"

typedef enum {
    WATCHDOG_START,
    WATCHDOG_PASSES,
    WATCHDOG_EXCHANGE,
    WATCHDOG_UPDATE,
    WATCHDOG_EVALUATION,
    WATCHDOG_CHECKPOINT,
    WATCHDOG_END
} watchdog_phase;

/* Watches the launcher, if there is one, and, unless `timeout_s` is 0, that no more than so many seconds pass without a move.
 * VGG_UNAVAILABLE if there is no thread to be had. */
vgg_status watchdog_start(uint64_t timeout_s);
void watchdog_stop(void);

/* Collective. Between these two the ranks of a node see how far the others have got, and name the one that lags behind. */
void watchdog_join(comm *c);
void watchdog_part(void);

/* The process gets on, into `phase` of the step last named: all ranks say so at the same points of the program, before they do
 * their part of it and before they wait for others. Without a watchdog it does nothing of consequence; it costs a few stores. */
void watchdog_step(uint64_t step);
void watchdog_enter(watchdog_phase phase);

/* It gets on within the phase; not all ranks need say so. */
void watchdog_move(void);

#endif

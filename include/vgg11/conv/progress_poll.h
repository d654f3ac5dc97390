/* Lets a communication library make progress while a pass runs, without a thread of its own. */
#ifndef VGG11_CONV_PROGRESS_POLL_H
#define VGG11_CONV_PROGRESS_POLL_H

typedef void (*progress_poll_function)(void *context);

/* From now on until progress_poll_end(), progress_poll() on this thread calls function(context). With NULL nothing is called. */
void progress_poll_begin(progress_poll_function function, void *context);
void progress_poll_end(void);

/* For algorithms to call from any of their threads after each task of some microseconds or more: polls if this is the thread
 * that began, and it has not done so for a while. */
void progress_poll(void);

#endif

/* Lets a communication library make progress while a pass runs, without a thread of its own. */
#ifndef VGG11_CONV_PROGRESS_POLL_H
#define VGG11_CONV_PROGRESS_POLL_H

typedef void (*progress_poll_function)(void *context);

/* Between these two calls progress_poll() on this thread calls function(context), unless the function is NULL. */
void progress_poll_begin(progress_poll_function function, void *context);
void progress_poll_end(void);

/* Algorithms call this from any of their threads after each task of some microseconds or more. It polls on the thread that called
 * progress_poll_begin(), at most every tenth of a millisecond, and does nothing on the others. */
void progress_poll(void);

#endif

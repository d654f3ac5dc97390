#include "vgg11/conv/progress_poll.h"

#include <stddef.h>

#include "vgg11/base/clock.h"

/* On a link of 5 Gb/s a message of 64 KiB arrives in this time; a poll that finds nothing takes a hundredth of it. */
static const double INTERVAL_S = 1e-4;

static _Thread_local struct {
    progress_poll_function function; /* NULL: there is nothing to poll */
    void *context;
    double last_s;
} poll;

void progress_poll_begin(progress_poll_function function, void *context)
{
    poll.function = function;
    poll.context = context;
}

void progress_poll_end(void) { poll.function = NULL; }

void progress_poll(void)
{
    if (!poll.function || clock_now_s() - poll.last_s < INTERVAL_S) return;
    poll.function(poll.context);
    poll.last_s = clock_now_s();
}

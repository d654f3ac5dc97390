#include "train/stop_signal.h"

#include <signal.h>

static volatile sig_atomic_t seen;
static struct sigaction previous;

static void note(int signal_number)
{
    (void)signal_number;
    seen = 1;
}

void stop_signal_watch(void)
{
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    seen = 0;
    sigaction(SIGUSR1, &action, &previous);
}

void stop_signal_unwatch(void) { sigaction(SIGUSR1, &previous, NULL); }

bool stop_signal_seen(void) { return seen != 0; }

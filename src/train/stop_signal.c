#include "vgg11/train/stop_signal.h"

#include <signal.h>

static volatile sig_atomic_t seen;
static struct sigaction previous;
static sigset_t previous_mask;
static int watchers;

static void note(int signal_number)
{
    (void)signal_number;
    seen = 1;
}

void stop_signal_watch(void)
{
    if (watchers++ > 0) return;
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    sigset_t mask;
    sigemptyset(&action.sa_mask);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    seen = 0;
    sigaction(SIGUSR1, &action, &previous);
    pthread_sigmask(SIG_UNBLOCK, &mask, &previous_mask);
}

void stop_signal_unwatch(void)
{
    if (--watchers > 0) return;
    pthread_sigmask(SIG_SETMASK, &previous_mask, NULL);
    sigaction(SIGUSR1, &previous, NULL);
}

bool stop_signal_seen(void) { return seen != 0; }

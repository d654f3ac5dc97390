#include "vgg11/train/stop_signal.h"

#include <signal.h>
#include <stdatomic.h>

#include "vgg11/base/clock.h"

enum { SIGNALS = 4 };
static const struct {
    int number;
    const char *name;
} signals[SIGNALS] = {{SIGUSR1, "SIGUSR1"}, {SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"}, {SIGHUP, "SIGHUP"}};

static _Atomic int seen;
static _Atomic int64_t asked_ms; /* when the first that ends a process came; 0: none has */
static struct sigaction previous[SIGNALS];
static sigset_t previous_mask;
static bool held;
static int watchers;

static int64_t now_ms(void) { return (int64_t)(clock_now_s() * 1000); }

/* timeout(1) signals a process and then its group, so that the same signal comes twice at once: that is not asking twice. */
static bool asked_again(void)
{
    enum { TWICE_AT_ONCE_MS = 1000 };
    int64_t first = 0, now = now_ms();
    return !atomic_compare_exchange_strong(&asked_ms, &first, now) && now - first >= TWICE_AT_ONCE_MS;
}

/* SIGUSR1 ends nobody, however often it comes: launchers and schedulers send it as they like. */
static void note(int number)
{
    int none = 0;
    atomic_compare_exchange_strong(&seen, &none, number);
    if (number == SIGUSR1 || !asked_again()) return;
    signal(number, SIG_DFL);
    raise(number);
}

static sigset_t all_signals(void)
{
    sigset_t all;
    sigemptyset(&all);
    for (int i = 0; i < SIGNALS; i++) sigaddset(&all, signals[i].number);
    return all;
}

void stop_signal_hold(void)
{
    sigset_t all = all_signals();
    pthread_sigmask(SIG_BLOCK, &all, &previous_mask);
    held = true;
}

void stop_signal_release(void) { pthread_sigmask(SIG_SETMASK, &previous_mask, NULL); }

static void install(int i)
{
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(signals[i].number, NULL, &previous[i]);
    if (previous[i].sa_handler == SIG_IGN && signals[i].number != SIGUSR1) return;
    sigaction(signals[i].number, &action, NULL);
}

void stop_signal_watch(void)
{
    if (watchers++ > 0) return;
    sigset_t all = all_signals(), mask;
    seen = 0;
    asked_ms = 0;
    for (int i = 0; i < SIGNALS; i++) install(i);
    pthread_sigmask(SIG_UNBLOCK, &all, &mask);
    if (!held) previous_mask = mask;
}

void stop_signal_unwatch(void)
{
    if (--watchers > 0) return;
    pthread_sigmask(SIG_SETMASK, &previous_mask, NULL);
    for (int i = 0; i < SIGNALS; i++) sigaction(signals[i].number, &previous[i], NULL);
}

int stop_signal_seen(void) { return seen; }

int stop_signal_agree(comm *c)
{
    uint64_t any = (uint64_t)seen;
    comm_max_u64(c, &any, 1);
    return (int)any;
}

const char *stop_signal_name(int number)
{
    int i = 0;
    while (i < SIGNALS - 1 && signals[i].number != number) i++;
    return signals[i].name;
}

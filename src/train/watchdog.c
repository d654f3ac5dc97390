#include "vgg11/train/watchdog.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "vgg11/base/clock.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/thread.h"

static const double LOOK_S = 0.5; /* between two looks */
static const double STILL_S = 2;  /* a rank whose watchdog has not looked for so long does not run */
static const double DOUBT_S = 1;  /* so much longer waits who sees nobody lag behind: another may know better */

static const char *const phases[] = {
    [WATCHDOG_START] = "the start",
    [WATCHDOG_PASSES] = "forward and backward pass",
    [WATCHDOG_EXCHANGE] = "the exchange of gradients",
    [WATCHDOG_UPDATE] = "the update of weights",
    [WATCHDOG_EVALUATION] = "the evaluation",
    [WATCHDOG_CHECKPOINT] = "the checkpoint",
    [WATCHDOG_END] = "the end",
};

/* What a rank lets the others of its node see; a cache line, so that ranks do not disturb each other. */
typedef struct {
    _Alignas(VGG_ALIGNMENT_BYTES) _Atomic uint64_t point; /* points of the program passed: the same on all ranks */
    _Atomic uint64_t step;
    _Atomic double looked_s; /* when its watchdog last looked; ranks of a node have one clock */
    _Atomic int phase;
    int rank;
    int process;
} pulse;

typedef struct {
    _Atomic int told; /* one of the node has written its line */
    pulse ranks[];
} node_page;

static struct {
    pthread_t thread;
    pthread_mutex_t mutex; /* of all below */
    pthread_cond_t stopped;
    bool running;
    bool stop;
    double timeout_s; /* 0: none */
    pid_t launcher;   /* 0: none */
    comm *c;
    comm_shared *memory; /* NULL: nothing of the others is to be seen */
    node_page *page;
} dog = {.mutex = PTHREAD_MUTEX_INITIALIZER, .stopped = PTHREAD_COND_INITIALIZER};

static pulse alone;
static pulse *mine = &alone;   /* the main thread's to set */
static _Atomic uint64_t moves; /* likewise */

static void increment(_Atomic uint64_t *count)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_relaxed);
}

void watchdog_move(void) { increment(&moves); }

void watchdog_enter(watchdog_phase phase)
{
    atomic_store_explicit(&mine->phase, phase, memory_order_relaxed);
    increment(&mine->point);
    watchdog_move();
}

void watchdog_step(uint64_t step) { atomic_store_explicit(&mine->step, step, memory_order_relaxed); }

enum { PLACE_BYTES = 64, LINE_BYTES = 512 };

static void describe_place(const pulse *p, char text[PLACE_BYTES])
{
    unsigned long long step = p->step;
    if (step > 0)
        snprintf(text, PLACE_BYTES, "%s of step %llu", phases[p->phase], step);
    else
        snprintf(text, PLACE_BYTES, "%s", phases[p->phase]);
}

static bool is_still(const pulse *p, double now_s) { return now_s - p->looked_s > STILL_S; }

/* A rank of this node that does not run, else the one that is farthest behind this one; NULL if there is none. */
static const pulse *find_culprit(double now_s)
{
    const pulse *found = NULL;
    for (int i = 0; dog.page && i < comm_node_size(dog.c); i++) {
        const pulse *p = &dog.page->ranks[i];
        if (is_still(p, now_s)) return p;
        if (p->point < (found ? found : mine)->point) found = p;
    }
    return found;
}

/* Standard error may be a pipe that nobody empties: then the line is lost, and not the end. */
static void write_line(const char *line)
{
    struct pollfd error = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&error, 1, 1000) > 0) dprintf(STDERR_FILENO, "vgg11_dist: %s\n", line);
}

/* Orphans get another parent. */
static bool launcher_is_gone(void) { return dog.launcher != 0 && getppid() != dog.launcher; }

/* Without a launcher nobody ends a rank that is stopped, but itself, once it goes on. */
static void wake_others(void)
{
    for (int i = 0; dog.page && i < comm_node_size(dog.c); i++) {
        int process = dog.page->ranks[i].process;
        if (process > 0 && process != mine->process) kill(process, SIGCONT);
    }
}

/* One of a node speaks, the first; the launcher ends the others with the same status, if they do not. */
static _Noreturn void end(const char *line)
{
    if (launcher_is_gone()) wake_others();
    if (!dog.page || atomic_exchange(&dog.page->told, 1) == 0) write_line(line);
    _exit(VGG_HUNG);
}

static void add_culprit(const pulse *culprit, double now_s, char *text, size_t text_bytes)
{
    char place[PLACE_BYTES];
    describe_place(culprit, place);
    if (is_still(culprit, now_s))
        snprintf(text, text_bytes, "; rank %d there, process %d, has not run for %.0f s: it is in %s", culprit->rank,
                 culprit->process, now_s - culprit->looked_s, place);
    else
        snprintf(text, text_bytes, "; rank %d there, process %d, is still in %s", culprit->rank, culprit->process, place);
}

static void check_progress(double quiet_s)
{
    double now_s = clock_now_s();
    if (dog.timeout_s == 0 || quiet_s < dog.timeout_s) return;
    const pulse *culprit = find_culprit(now_s);
    if (!culprit && quiet_s < dog.timeout_s + DOUBT_S) return;
    char line[LINE_BYTES], place[PLACE_BYTES], host[128] = "?", other[LINE_BYTES / 2] = "";
    describe_place(mine, place);
    gethostname(host, sizeof host - 1);
    if (culprit) add_culprit(culprit, now_s, other, sizeof other);
    snprintf(line, sizeof line, "no progress for %.0f s (--hang-timeout): rank %d on %s is in %s%s", dog.timeout_s, mine->rank,
             host, place, other);
    end(line);
}

static void check_launcher(void)
{
    if (!launcher_is_gone()) return;
    char line[LINE_BYTES], place[PLACE_BYTES];
    describe_place(mine, place);
    snprintf(line, sizeof line, "rank %d, in %s: its launcher, process %d, is gone", mine->rank, place, (int)dog.launcher);
    end(line);
}

/* False when the watch is over. Lets the mutex go meanwhile. */
static bool wait_for_next_look(void)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(LOOK_S * 1e9);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!dog.stop && pthread_cond_clockwait(&dog.stopped, &dog.mutex, CLOCK_MONOTONIC, &until) == 0) continue;
    return !dog.stop;
}

static void *watch(void *unused)
{
    uint64_t seen = moves;
    double quiet_s = 0, last_s = clock_now_s();
    pthread_mutex_lock(&dog.mutex);
    while (wait_for_next_look()) {
        double now_s = clock_now_s(), passed_s = now_s - last_s;
        bool moved = seen != moves;
        last_s = now_s;
        seen = moves;
        quiet_s = moved ? 0 : quiet_s + (passed_s < 2 * LOOK_S ? passed_s : 2 * LOOK_S);
        mine->looked_s = now_s;
        check_launcher();
        check_progress(quiet_s);
    }
    pthread_mutex_unlock(&dog.mutex);
    return unused;
}

vgg_status watchdog_start(uint64_t timeout_s)
{
    dog.timeout_s = (double)timeout_s;
    int rank = comm_launched_rank();
    dog.launcher = rank >= 0 ? getppid() : 0; /* a rank alone may well outlive the shell that it was started from */
    dog.stop = false;
    alone = (pulse){.rank = rank >= 0 ? rank : 0, .process = (int)getpid(), .looked_s = clock_now_s()};
    if (timeout_s == 0 && dog.launcher == 0) return VGG_OK;
    dog.running = thread_create(&dog.thread, watch, NULL) == 0;
    return dog.running ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "there is no thread for the watchdog to be had");
}

void watchdog_stop(void)
{
    if (!dog.running) return;
    pthread_mutex_lock(&dog.mutex);
    dog.stop = true;
    pthread_cond_signal(&dog.stopped);
    pthread_mutex_unlock(&dog.mutex);
    pthread_join(dog.thread, NULL);
    dog.running = false;
}

static void move_to(pulse *place)
{
    place->point = mine->point;
    place->step = mine->step;
    place->phase = mine->phase;
    place->looked_s = mine->looked_s;
    place->rank = mine->rank;
    place->process = mine->process;
    mine = place;
}

void watchdog_join(comm *c)
{
    size_t bytes = sizeof(node_page) + (size_t)comm_node_size(c) * sizeof(pulse);
    comm_shared *memory;
    if (comm_shared_open(c, bytes, &memory) != VGG_OK) return;
    node_page *page = comm_shared_memory(memory);
    pthread_mutex_lock(&dog.mutex);
    mine->rank = comm_rank(c);
    mine->looked_s = clock_now_s();
    move_to(&page->ranks[comm_node_rank(c)]);
    pthread_mutex_unlock(&dog.mutex);
    comm_shared_sync(c, memory); /* before anyone looks at the others */
    pthread_mutex_lock(&dog.mutex);
    dog.c = c;
    dog.memory = memory;
    dog.page = page;
    pthread_mutex_unlock(&dog.mutex);
}

void watchdog_part(void)
{
    if (!dog.memory) return;
    comm_shared_sync(dog.c, dog.memory); /* who leaves looks still to those who stay */
    pthread_mutex_lock(&dog.mutex);
    move_to(&alone);
    dog.page = NULL;
    pthread_mutex_unlock(&dog.mutex);
    comm_shared_close(dog.memory);
    dog.memory = NULL;
}

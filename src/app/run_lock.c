#include "app/run_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "vgg11/base/file.h"
#include "vgg11/base/log.h"

enum { ATTEMPTS = 100, WORD_BYTES = 128, TEXT_BYTES = 1024 };

/* What a lock file says of a run. Anybody may have written it: to be compared and shown, never trusted. */
typedef struct {
    bool known;
    char host[WORD_BYTES];
    char job[WORD_BYTES]; /* "" if it was started by hand */
    char since[WORD_BYTES];
    long pid;
} lock_holder;

static const char *own_job(void)
{
    static const char *const names[] = {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *job = getenv(names[i]);
        if (job && *job) return job;
    }
    return "";
}

static void copy_word(char word[WORD_BYTES], const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    snprintf(word, WORD_BYTES, "%s", text ? text : "");
}

/* A file that says nothing names no run; one that could not be read for want of memory may. */
static vgg_status read_holder(int file, const char *path, lock_holder *holder)
{
    char text[TEXT_BYTES];
    *holder = (lock_holder){.known = false};
    ssize_t bytes = pread(file, text, sizeof text, 0);
    errno = 0;
    json_t *object = bytes > 0 ? json_parse(text, (size_t)bytes, 0, NULL) : NULL;
    if (!object && errno == ENOMEM) return vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory to read it", path);
    copy_word(holder->host, object, "host");
    copy_word(holder->job, object, "job");
    copy_word(holder->since, object, "since");
    holder->pid = (long)json_integer_value(json_object_get(object, "pid"));
    holder->known = *holder->host && holder->pid > 0;
    json_decref(object);
    return VGG_OK;
}

/* Not being able to say so is no reason not to run: the lock holds without. */
static void write_holder(int file, const char *path, const char *host)
{
    char since[WORD_BYTES];
    time_t now = time(NULL);
    struct tm utc;
    strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    json_t *object = json_pack("{s:s, s:I, s:s, s:s}", "host", host, "pid", (json_int_t)getpid(), "job", own_job(), "since", since);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    vgg_status status = VGG_OK;
    errno = ENOMEM;
    if (!text || ftruncate(file, 0) != 0)
        status = vgg_fail_errno(VGG_IO_ERROR, "%s: cannot write", path);
    else
        status = file_write_all(file, path, text, strlen(text));
    if (status != VGG_OK) vgg_log(VGG_LOG_WARNING, "%s", vgg_message());
    free(text);
}

static vgg_status refuse(const char *folder, const lock_holder *holder, const char *advice)
{
    if (!holder->known) return vgg_fail(VGG_IO_ERROR, "%s: another run is writing here; %s", folder, advice);
    return vgg_fail(VGG_IO_ERROR, "%s: another run is writing here, process %ld on %s%s%s, since %s; %s", folder, holder->pid,
                    holder->host, *holder->job ? ", job " : "", holder->job, holder->since, advice);
}

/* Locks of the open file, not of the process: they are not lost when somebody else in this process closes the file. */
static int set_lock(int file)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(file, F_OFD_SETLK, &whole);
}

bool run_lock_is_local(FILE *mounts, unsigned major, unsigned minor)
{
    char *line = NULL;
    size_t capacity = 0;
    bool local = false;
    while (!local && getline(&line, &capacity, mounts) > 0) {
        unsigned of[2];
        const char *options = strrchr(line, ' '); /* of the file system: the last word */
        if (!options || sscanf(line, "%*d %*d %u:%u", &of[0], &of[1]) != 2 || of[0] != major || of[1] != minor) continue;
        local = strstr(options, "nolock") || strstr(options, "local_lock=all") || strstr(options, "local_lock=posix") ||
                strstr(options, "localflock");
    }
    free(line);
    return local;
}

static bool lock_is_local(int file)
{
    struct stat facts;
    errno = 0;
    FILE *mounts = fstat(file, &facts) == 0 ? fopen("/proc/self/mountinfo", "re") : NULL;
    bool local = mounts && run_lock_is_local(mounts, major(facts.st_dev), minor(facts.st_dev));
    if (errno == ENOMEM) local = true; /* what is not known must not let two runs in */
    if (mounts) fclose(mounts);
    return local;
}

/* Whom the system's lock keeps out: everybody, this machine's processes, nobody. */
typedef enum { LOCK_EVERYWHERE, LOCK_HERE, LOCK_NOWHERE, LOCK_BUSY } lock_reach;

static lock_reach try_lock(int file)
{
    if (set_lock(file) == 0) return lock_is_local(file) ? LOCK_HERE : LOCK_EVERYWHERE;
    return errno == EAGAIN || errno == EACCES ? LOCK_BUSY : LOCK_NOWHERE;
}

/* May the run that the file names be alive, though the lock could be taken? A job that is queued again had ended before. */
static bool may_live(const lock_holder *holder, const char *host, lock_reach reach)
{
    if (!holder->known || reach == LOCK_EVERYWHERE) return false;
    if (strcmp(holder->host, host) == 0) return reach == LOCK_NOWHERE && (kill((pid_t)holder->pid, 0) == 0 || errno == EPERM);
    return !*holder->job || strcmp(holder->job, own_job()) != 0;
}

/* False if the file was removed while this process waited to open it, by the run that held it. */
static bool has_name_still(int file, const char *path)
{
    struct stat mine, named;
    return fstat(file, &mine) == 0 && lstat(path, &named) == 0 && mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

static vgg_status take(const char *folder, const char *path, const char *host, int file, lock_reach reach)
{
    lock_holder before;
    VGG_TRY(read_holder(file, path, &before));
    if (reach == LOCK_BUSY) return refuse(folder, &before, "wait for it, or name another folder");
    if (may_live(&before, host, reach)) return refuse(folder, &before, "if it has ended, remove the file .lock there");
    if (before.known)
        vgg_log(VGG_LOG_INFO, "%s: taken over from process %ld on %s, which ended without leaving it", folder, before.pid,
                before.host);
    write_holder(file, path, host);
    return VGG_OK;
}

static void path_of(const char *folder, char path[FILE_TEMPORARY_MAX]) { snprintf(path, FILE_TEMPORARY_MAX, "%s/.lock", folder); }

vgg_status run_lock_take(const char *folder, const char *host, int *lock)
{
    char path[FILE_TEMPORARY_MAX];
    path_of(folder, path);
    *lock = RUN_LOCK_FREE;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        int file;
        VGG_TRY(file_open_own(path, &file));
        lock_reach reach = try_lock(file);
        if (reach != LOCK_BUSY && !has_name_still(file, path)) {
            close(file);
            continue;
        }
        vgg_status status = take(folder, path, host, file, reach);
        if (status == VGG_OK)
            *lock = file;
        else
            close(file);
        return status;
    }
    return vgg_fail(VGG_IO_ERROR, "%s: other runs keep coming and going here; name another folder", folder);
}

bool run_lock_is_held(const char *folder)
{
    char path[FILE_TEMPORARY_MAX];
    int file;
    path_of(folder, path);
    if (file_open_to_read(path, &file) != VGG_OK) return false;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool held = fcntl(file, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    close(file);
    return held;
}

void run_lock_release(const char *folder, int *lock)
{
    char path[FILE_TEMPORARY_MAX];
    if (*lock == RUN_LOCK_FREE) return;
    path_of(folder, path);
    if (has_name_still(*lock, path)) unlink(path);
    close(*lock);
    *lock = RUN_LOCK_FREE;
}

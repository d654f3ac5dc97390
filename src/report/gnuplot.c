#include "vgg11/report/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vgg11/base/file.h"
#include "vgg11/base/log.h"

extern char **environ;

/* What timeout(1) and the shell end with. */
enum { EXIT_KILLED = 128 + 9, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

/* gnuplot in the folder, reading from `input`; 0 if it cannot be started. timeout(1) kills it, and whatever it started, in time. */
static pid_t start_gnuplot(int folder, int input, int limit_s)
{
    char limit[16];
    snprintf(limit, sizeof limit, "%d", limit_s);
    char *arguments[] = {"timeout", "-s", "KILL", limit, "gnuplot", NULL};
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0) return 0;
    pid_t child = 0;
    int failed = posix_spawn_file_actions_addfchdir_np(&actions, folder) ||
                 posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO) ||
                 posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) ||
                 posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) ||
                 posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return failed ? 0 : child;
}

static vgg_status judge(pid_t child, int limit_s)
{
    int outcome = 0;
    if (child == 0) return vgg_fail(VGG_UNAVAILABLE, "gnuplot cannot be started");
    while (waitpid(child, &outcome, 0) < 0)
        if (errno != EINTR) return vgg_fail_errno(VGG_IO_ERROR, "gnuplot: cannot be waited for");
    int code = WIFEXITED(outcome) ? WEXITSTATUS(outcome) : 128 + WTERMSIG(outcome);
    if (code == 0) return VGG_OK;
    if (code == EXIT_NOT_FOUND || code == EXIT_NOT_EXECUTABLE) return vgg_fail(VGG_UNAVAILABLE, "gnuplot is not installed");
    if (code == EXIT_KILLED) return vgg_fail(VGG_IO_ERROR, "gnuplot did not end within %d s and was killed", limit_s);
    return vgg_fail(VGG_IO_ERROR, "gnuplot failed (status %d)", code);
}

/* By a socket and not a pipe: a reader that dies then gives an error here, and no SIGPIPE. */
static vgg_status run_gnuplot(int folder, const char *script, size_t bytes, int limit_s)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return vgg_fail_errno(VGG_IO_ERROR, "gnuplot: no socket");
    pid_t child = start_gnuplot(folder, ends[1], limit_s);
    close(ends[1]);
    ssize_t sent = 1;
    for (size_t done = 0; child && done < bytes && sent > 0; done += (size_t)sent) {
        sent = send(ends[0], script + done, bytes - done, MSG_NOSIGNAL);
    }
    close(ends[0]);
    return judge(child, limit_s);
}

/* gnuplot opens its output by name and would follow a link, or wait on a pipe, that lies in wait there: it draws in a folder of its own,
 * and the pictures take their places by renaming. */
vgg_status gnuplot_draw(int folder, const char *const files[], const char *script, size_t bytes, int limit_s)
{
    char path[FILE_TEMPORARY_MAX];
    file_temporary_name("here", path);
    const char *name = strrchr(path, '/') + 1;
    if (mkdirat(folder, name, 0700) != 0) return vgg_fail_errno(VGG_IO_ERROR, "cannot make a folder for pictures");
    int inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    vgg_status status = inner >= 0 ? run_gnuplot(inner, script, bytes, limit_s)
                                   : vgg_fail_errno(VGG_IO_ERROR, "%s: cannot open", name);
    for (int i = 0; status == VGG_OK && files[i]; i++) {
        if (renameat(inner, files[i], folder, files[i]) != 0 && errno != ENOENT)
            status = vgg_fail_errno(VGG_IO_ERROR, "%s: cannot be put in place", files[i]);
    }
    file_remove_at(folder, name);
    if (inner >= 0) close(inner);
    return status;
}

static vgg_status draw_text(const char *path, const char *const files[], const char *script, size_t bytes)
{
    if (file_make_folder(path, NULL) != VGG_OK) return vgg_fail(VGG_IO_ERROR, "--plot %s", vgg_message());
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return vgg_fail_errno(VGG_IO_ERROR, "--plot %s: cannot open the folder", path);
    vgg_status status = gnuplot_draw(folder, files, script, bytes, GNUPLOT_LIMIT_S);
    if (status != VGG_OK) vgg_log(VGG_LOG_WARNING, "--plot %s: no pictures: %s", path, vgg_message());
    close(folder);
    return VGG_OK;
}

vgg_status gnuplot_draw_into(const char *path, const char *const files[], void (*print)(FILE *script, const void *context),
                             const void *context)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *script = open_memstream(&text, &bytes);
    if (script) print(script, context);
    bool whole = script && fclose(script) == 0;
    vgg_status status = whole ? draw_text(path, files, text, bytes) : vgg_fail(VGG_UNAVAILABLE, "no memory for the pictures");
    free(text);
    return status;
}

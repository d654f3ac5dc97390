#include "vgg11/report/gnuplot.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* gnuplot in `folder`, reading from `input`; 0 if it cannot be started. */
static pid_t start_gnuplot(const char *folder, int input)
{
    char *arguments[] = {"gnuplot", NULL};
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0) return 0;
    pid_t child = 0;
    int failed = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO) ||
                 posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) ||
                 posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) ||
                 posix_spawn_file_actions_addchdir_np(&actions, folder) ||
                 posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return failed ? 0 : child;
}

/* By a socket and not a pipe: a reader that dies then gives an error here, and no SIGPIPE. */
bool gnuplot_run(const char *folder, const char *script, size_t bytes)
{
    int ends[2], outcome = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return false;
    pid_t child = start_gnuplot(folder, ends[1]);
    close(ends[1]);
    ssize_t sent = 1;
    for (size_t done = 0; child && done < bytes && sent > 0; done += (size_t)sent) {
        sent = send(ends[0], script + done, bytes - done, MSG_NOSIGNAL);
    }
    close(ends[0]);
    return child && waitpid(child, &outcome, 0) == child && outcome == 0;
}

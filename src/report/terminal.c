#include "report/terminal.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS_OTHERWISE = 80, NAME_BYTES = 64 };

static const char *const launchers[] = {"mpirun", "mpiexec", "orterun", "prterun"};

/* Only a launcher passes our output on unchanged: with a shell as parent, our pipe may lead to a file. */
static bool parent_is_launcher(void)
{
    char path[NAME_BYTES], name[NAME_BYTES] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", (int)getppid());
    FILE *file = fopen(path, "r");
    if (!file) return false;
    if (!fgets(name, sizeof name, file)) name[0] = '\0';
    fclose(file);
    name[strcspn(name, "\n")] = '\0';
    for (size_t i = 0; i < sizeof launchers / sizeof launchers[0]; i++) {
        if (strcmp(name, launchers[i]) == 0) return true;
    }
    return false;
}

static int open_launcher_terminal(void)
{
    if (!parent_is_launcher()) return -1;
    char path[NAME_BYTES];
    snprintf(path, sizeof path, "/proc/%d/fd/2", (int)getppid());
    int descriptor = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor >= 0 && !isatty(descriptor)) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

int terminal_open(void)
{
    const char *kind = getenv("TERM");
    if (!kind || strcmp(kind, "dumb") == 0) return -1;
    return isatty(STDERR_FILENO) ? STDERR_FILENO : open_launcher_terminal();
}

void terminal_close(int terminal)
{
    if (terminal > STDERR_FILENO) close(terminal);
}

int terminal_columns(int terminal)
{
    struct winsize size;
    if (terminal < 0 || ioctl(terminal, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return COLUMNS_OTHERWISE;
    return size.ws_col;
}

#include "vgg11/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

static vgg_log_level threshold = VGG_LOG_INFO;
static int speaking = 1;
static void (*before_line)(void);

static const char *const prefixes[] = {
    [VGG_LOG_ERROR] = "vgg11_dist: ",
    [VGG_LOG_WARNING] = "vgg11_dist: warning: ",
    [VGG_LOG_INFO] = "",
    [VGG_LOG_DEBUG] = "",
};

void vgg_log_configure(vgg_log_level level, int speaks)
{
    threshold = level;
    speaking = speaks;
}

void vgg_log_before(void (*hook)(void)) { before_line = hook; }

/* Standard error may be a pipe that takes part of a line; what cannot be written at all is let go. */
static void write_all(const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(STDERR_FILENO, text, bytes);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;
        text += written;
        bytes -= (size_t)written;
    }
}

void vgg_log(vgg_log_level level, const char *format, ...)
{
    if (!speaking || level > threshold) return;
    char line[LINE_MAX_BYTES];
    size_t length = (size_t)snprintf(line, sizeof line, "%s", prefixes[level]);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + length, sizeof line - length - 1, format, arguments);
    va_end(arguments);
    length = strlen(line);
    line[length++] = '\n';
    if (before_line) before_line();
    write_all(line, length);
}

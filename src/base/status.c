#include "vgg11/base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[VGG_MESSAGE_MAX];

/* A message is one line whatever a file name in it holds: control bytes become '?'. */
static void keep_one_line(void)
{
    for (char *c = message; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
}

/* Formatted aside first, since an argument may be vgg_message() itself. */
static void record(const char *format, va_list arguments, const char *reason)
{
    char line[VGG_MESSAGE_MAX];
    vsnprintf(line, sizeof line, format, arguments);
    size_t length = strlen(line);
    if (reason) snprintf(line + length, sizeof line - length, ": %s", reason);
    memcpy(message, line, sizeof line);
    keep_one_line();
}

vgg_status vgg_fail(vgg_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    record(format, arguments, NULL);
    va_end(arguments);
    return status;
}

vgg_status vgg_fail_errno(vgg_status status, const char *format, ...)
{
    char text[128];
    if (errno == ENOMEM) status = VGG_UNAVAILABLE;
    const char *reason = strerror_r(errno, text, sizeof text);
    va_list arguments;
    va_start(arguments, format);
    record(format, arguments, reason);
    va_end(arguments);
    return status;
}

const char *vgg_message(void) { return message; }

vgg_kept_message vgg_keep_message(void)
{
    vgg_kept_message kept;
    memcpy(kept.text, message, sizeof kept.text);
    return kept;
}

void vgg_restore_message(const vgg_kept_message *kept) { memcpy(message, kept->text, sizeof message); }

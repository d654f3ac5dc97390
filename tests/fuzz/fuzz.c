#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[256];
static int file = -1;

static void remove_file(void) { unlink(path); }

static void give_up(const char *what)
{
    perror(what);
    abort();
}

static void open_file(void)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/vgg11-fuzz-XXXXXX", folder ? folder : "/tmp");
    file = mkstemp(path);
    if (file < 0) give_up(path);
    atexit(remove_file);
}

const char *fuzz_file(const void *data, size_t size)
{
    if (file < 0) open_file();
    if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t)size) give_up(path);
    return path;
}

char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text) give_up("no memory");
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* With VGG11_FAIL_ALLOCATION=N the allocation of that number fails from the beginning of the program; with "N-" so do all that follow. With
 * VGG11_ALLOCATIONS=FILE each leaves a line there, in which those of the same chain of calls have the same number. */
#include "support/failing_memory.h"

#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

enum { DEPTH = 24 };

static long failing, count;
static bool persistent;
static int record = -1;
static memory_chains *chains; /* that are being listed, or NULL */

extern const char __executable_start[], etext[]; /* the linker's */

/* Of the program's own calls: which way a library took within one of its functions makes no difference. */
static uint64_t hash_of_calls(void)
{
    void *calls[DEPTH];
    int depth = backtrace(calls, DEPTH);
    uint64_t hash = 0;
    for (int i = 0; i < depth; i++) {
        uintptr_t call = (uintptr_t)calls[i];
        bool own = call >= (uintptr_t)__executable_start && call < (uintptr_t)etext;
        if (own) hash = (hash ^ call) * UINT64_C(0x9E3779B97F4A7C15);
    }
    return hash;
}

static void list(long number, uint64_t hash)
{
    for (int i = 0; i < chains->count; i++)
        if (chains->hashes[i] == hash) return;
    if (chains->count == MEMORY_CHAINS_MAX) abort();
    chains->hashes[chains->count] = hash;
    chains->first[chains->count++] = number;
}

/* Whether this allocation is to fail, with errno as the C library leaves it. */
static bool fails(const char *function)
{
    int before = errno;
    long number = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    if (chains) list(number, hash_of_calls());
    if (record >= 0) dprintf(record, "%ld %s %016llx\n", number, function, (unsigned long long)hash_of_calls());
    bool failed = number == failing || (persistent && number > failing);
    errno = failed ? ENOMEM : before;
    return failed;
}

#define WRAP(type, name, parameters, arguments, failure) \
    type __real_##name parameters;                       \
    type __wrap_##name parameters;                       \
    type __wrap_##name parameters                        \
    {                                                    \
        if (fails(#name)) return failure;                \
        return __real_##name arguments;                  \
    }

WRAP(void *, malloc, (size_t bytes), (bytes), NULL)
WRAP(void *, calloc, (size_t items, size_t bytes), (items, bytes), NULL)
WRAP(void *, realloc, (void *block, size_t bytes), (block, bytes), NULL)
WRAP(void *, aligned_alloc, (size_t alignment, size_t bytes), (alignment, bytes), NULL)
WRAP(char *, strdup, (const char *text), (text), NULL)
WRAP(void *, mmap, (void *at, size_t bytes, int access, int flags, int file, off_t offset),
     (at, bytes, access, flags, file, offset), MAP_FAILED)
WRAP(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL)
WRAP(FILE *, fdopen, (int file, const char *mode), (file, mode), NULL)
WRAP(FILE *, open_memstream, (char **text, size_t *bytes), (text, bytes), NULL)
WRAP(DIR *, opendir, (const char *path), (path), NULL)
WRAP(ssize_t, getline, (char **line, size_t *capacity, FILE *file), (line, capacity, file), -1)
WRAP(ssize_t, __getdelim, (char **line, size_t *capacity, int end, FILE *file), (line, capacity, end, file), -1)
WRAP(error_t, argp_parse, (const struct argp *grammar, int argc, char **argv, unsigned flags, int *end, void *input),
     (grammar, argc, argv, flags, end, input), ENOMEM)

int __wrap_asprintf(char **text, const char *format, ...);
int __wrap_asprintf(char **text, const char *format, ...)
{
    if (fails("asprintf")) return -1;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(text, format, arguments);
    va_end(arguments);
    return length;
}

static void *allocate_for_json(size_t bytes) { return fails("json") ? NULL : __real_malloc(bytes); }

static voidpf allocate_for_zlib(voidpf state, uInt items, uInt bytes)
{
    (void)state;
    return fails("zlib") ? NULL : __real_calloc(items, bytes);
}

static void free_for_zlib(voidpf state, voidpf block)
{
    (void)state;
    free(block);
}

int __real_inflateInit2_(z_streamp stream, int bits, const char *version, int bytes);
int __wrap_inflateInit2_(z_streamp stream, int bits, const char *version, int bytes);
int __wrap_inflateInit2_(z_streamp stream, int bits, const char *version, int bytes)
{
    stream->zalloc = allocate_for_zlib;
    stream->zfree = free_for_zlib;
    return __real_inflateInit2_(stream, bits, version, bytes);
}

void failing_memory_list(memory_chains *of)
{
    count = 0;
    chains = of;
}

void failing_memory_fail(long number)
{
    count = 0;
    failing = number;
}

__attribute__((constructor)) static void begin(void)
{
    const char *asked = getenv("VGG11_FAIL_ALLOCATION"), *file = getenv("VGG11_ALLOCATIONS");
    void *call;
    backtrace(&call, 1); /* loads what it needs */
    json_set_alloc_funcs(allocate_for_json, free);
    if (file) record = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (asked) failing = atol(asked);
    persistent = asked && strchr(asked, '-');
}

#include "support/failing_sync.h"

#include <errno.h>

int sync_that_fails;

int __real_fsync(int file);
int __wrap_fsync(int file);
int __wrap_fsync(int file)
{
    if (sync_that_fails == 0 || --sync_that_fails > 0) return __real_fsync(file);
    errno = EIO;
    return -1;
}

#include "app/json_output.h"

#include <errno.h>
#include <stdio.h>

enum { REAL_DIGITS = 9 };

vgg_status json_output(json_t *object, const char *what)
{
    errno = 0;
    int failed = json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(REAL_DIGITS));
    json_decref(object);
    if (failed) return vgg_fail_errno(VGG_IO_ERROR, "standard output: cannot write%s", what);
    putchar('\n');
    return VGG_OK;
}

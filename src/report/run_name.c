#include "report/run_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void run_name_of(const char *folder, char name[RUN_NAME_MAX])
{
    char *whole = realpath(folder, NULL);
    const char *path = whole ? whole : folder, *slash = strrchr(path, '/');
    snprintf(name, RUN_NAME_MAX, "%s", slash && slash[1] ? slash + 1 : path);
    free(whole);
}

/* The table of commands. To add one: a file with its function, and a row in command_list.c. */
#ifndef VGG11_APP_COMMAND_H
#define VGG11_APP_COMMAND_H

#include "app/options/options.h"
#include "vgg11/base/status.h"
#include "vgg11/comm/comm.h"

enum {
    COMMAND_TRAIN = 1,
    COMMAND_EVAL = 2,
    COMMAND_INFO = 4,
    COMMAND_BENCH = 8,
    COMMAND_DOCTOR = 16,
    COMMAND_PREDICT = 32,
    COMMAND_SHOW = 64,
    COMMAND_REPORT = 128,
    COMMAND_COMPARE = 256,
    COMMAND_EXPORT = 512,
    COMMAND_ALL = 1023
};

typedef struct command_row {
    const char *name;
    const char *summary;
    const char *more; /* what its own help says besides; or NULL */
    unsigned bit;
    const char *arguments; /* as --help calls what follows the command; NULL if nothing may */
    int least, most;       /* arguments */
    const char *one_rank;  /* what it does as a single rank, which it is for: "works"; NULL: as many as there are */
    vgg_status (*run)(comm *c, const options *o); /* Collective; the same status on all ranks */
} command_row;

extern const command_row command_table[]; /* the default first; ended by a row without a name */
const command_row *command_find(const char *name);

#endif

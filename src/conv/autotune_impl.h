/* What the files that choose algorithms have in common. */
#ifndef VGG11_CONV_AUTOTUNE_IMPL_H
#define VGG11_CONV_AUTOTUNE_IMPL_H

#include <stdio.h>

#include "vgg11/conv/autotune.h"

/* A choice that was read from the cache file or from a line of text. */
typedef struct {
    const conv_algorithm *algorithm; /* NULL: there is none for this pass */
    double seconds;                  /* 0 if not recorded */
    double spread;                   /* conv_plan's; negative if not recorded */
    int64_t time;                    /* when it was timed, in seconds since 1970; 0 if not recorded */
} recorded_choice;

/* The first runs of a plan that were timed. */
enum { TIMED_RUNS_MAX = 48 };
typedef struct {
    int count;
    double seconds[TIMED_RUNS_MAX];
} timed_runs;

typedef struct {
    const conv_autotune_config *config;
    const conv_layer *layers;
    size_t count;
    conv_choice (*choices)[CONV_PASSES];
    int node_ranks;                        /* most ranks on one node */
    bool alone;                            /* this rank chooses by itself: it does not ask the others whether they can open a row */
    bool precision_available;              /* some row that accepts a layer computes in config->precision */
    recorded_choice (*known)[CONV_PASSES]; /* what was taken from the cache; NULL for nothing */
    timed_runs *runs;                      /* of the plan chosen so far and of its challenger, while a pass is timed */
} autotuner;

/* By how much the median of the runs is above their least, as a part of it; 0 of none. Sorts them. */
double timed_runs_spread(timed_runs *runs);

/* The name that was asked for, or "auto". */
const char *autotune_algorithm(const conv_autotune_config *config);

/* Fills in recorded[count] what the cache file has for this setting. */
void autotune_cache_load(const autotuner *t, recorded_choice recorded[][CONV_PASSES]);

/* Writes the choices that are good enough into the cache file, and keeps those of other machines and settings there. A file that cannot
 * be written is no error: the cache only saves time. */
void autotune_cache_store(const autotuner *t);

/* Opens a cache file for reading; NULL if there is none, or if it is larger than a cache can be. */
FILE *autotune_cache_open(const char *path);

/* The beginning of the keys of this build on this type of processor. */
enum { CACHE_MACHINE_MAX = 256, CACHE_LINE_MAX = 512 };
void autotune_cache_machine(char machine[CACHE_MACHINE_MAX]);

enum { CACHE_LAYER_MAX = 16, CACHE_ROW_MAX = 64 };
/* Reads what stands behind the key in a line of the cache, all but choice->algorithm; false if the line has another form. */
bool autotune_cache_read(const char *text, char layer[CACHE_LAYER_MAX], int *pass, char row[CACHE_ROW_MAX],
                         recorded_choice *choice);

/* Fills recorded[count] from a line as conv_choices_print() writes it; false if the line has another form or unknown rows. */
bool choices_text_read(const autotuner *t, const char *text, recorded_choice recorded[][CONV_PASSES]);

#endif

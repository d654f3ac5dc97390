/* What the files that choose algorithms have in common. */
#ifndef VGG11_CONV_AUTOTUNE_IMPL_H
#define VGG11_CONV_AUTOTUNE_IMPL_H

#include "vgg11/conv/autotune.h"

typedef struct {
    const conv_autotune_config *config;
    const conv_layer *layers;
    size_t count;
    conv_choice (*choices)[CONV_PASSES];
    int node_ranks;           /* most ranks on one node */
    bool alone;               /* this rank chooses by itself: it does not ask the others whether they can open a row */
    bool precision_available; /* some row that accepts a layer computes in config->precision */
} autotuner;

/* A choice that was read from the cache file or from a line of text. */
typedef struct {
    const conv_algorithm *algorithm;
    double seconds; /* 0 if not recorded */
} recorded_choice;

/* The name that was asked for, or "auto". */
const char *autotune_algorithm(const conv_autotune_config *config);

/* Fills recorded[count] from the cache file; false if a choice that is needed is missing. */
bool autotune_cache_load(const autotuner *t, recorded_choice recorded[][CONV_PASSES]);

/* Writes the choices into the cache file, and keeps those of other machines and settings there. A file that cannot be written is no
 * error: the cache only saves time. */
void autotune_cache_store(const autotuner *t);

/* Fills recorded[count] from a line as conv_choices_print() writes it; false if the line has another form or unknown rows. */
bool choices_text_read(const autotuner *t, const char *text, recorded_choice recorded[][CONV_PASSES]);

#endif

/* What the files of the choice of algorithms share. */
#ifndef VGG11_CONV_AUTOTUNE_IMPL_H
#define VGG11_CONV_AUTOTUNE_IMPL_H

#include "vgg11/conv/autotune.h"

typedef struct {
    const conv_autotune_config *config;
    const conv_layer *layers;
    size_t count;
    conv_choice (*choices)[CONV_PASSES];
    int node_ranks;           /* of the fullest node */
    bool alone;               /* rows are not asked about on other ranks */
    bool precision_available; /* some row computes in config->precision for some layer */
} autotuner;

/* What a file or a line of text says was chosen. */
typedef struct {
    const conv_algorithm *algorithm;
    double seconds; /* 0 if it does not say */
} recorded_choice;

/* "auto" or the name that was asked for. */
const char *autotune_algorithm(const conv_autotune_config *config);

/* Fills recorded[count] from the cache file; false if any that is needed is missing. */
bool autotune_cache_load(const autotuner *t, recorded_choice recorded[][CONV_PASSES]);

/* Writes the choices into the cache file, beside those of other machines and settings. A file that cannot be written is left as it
 * is: the cache saves time, no more. */
void autotune_cache_store(const autotuner *t);

/* Fills recorded[count] from a line as conv_choices_print() writes it; false if it is anything else. */
bool choices_text_read(const autotuner *t, const char *text, recorded_choice recorded[][CONV_PASSES]);

#endif

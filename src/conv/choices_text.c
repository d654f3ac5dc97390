/* The choices as a line of text, which checkpoints and config.json hold. */
#include <stdio.h>
#include <string.h>

#include "conv/autotune_impl.h"

enum { NAME_MAX_BYTES = 64 };

static const char *name_of(const conv_layer *layer, const conv_choice *choice, int pass)
{
    return layer->needed[pass] ? choice->plan.algorithm->name : "-";
}

void conv_choices_print(const conv_layer *layers, size_t count, const conv_choice choices[][CONV_PASSES],
                        char text[CONV_CHOICES_TEXT_MAX])
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const char *names[CONV_PASSES];
        for (int pass = 0; pass < CONV_PASSES; pass++) names[pass] = name_of(&layers[i], &choices[i][pass], pass);
        used += (size_t)snprintf(text + used, CONV_CHOICES_TEXT_MAX - used, "%s%s:%s/%s/%s", i ? " " : "", layers[i].name, names[0],
                                 names[1], names[2]);
    }
}

/* Reads "name/" or, for the last pass, "name", and returns what follows; NULL if the name is not that of a row, or "-" where the
 * pass is not needed. */
static const char *read_name(const conv_layer *layer, const char *text, int pass, recorded_choice *recorded)
{
    char name[NAME_MAX_BYTES];
    size_t length = strcspn(text, "/ ");
    if (length >= sizeof name) return NULL;
    snprintf(name, sizeof name, "%.*s", (int)length, text);
    recorded->algorithm = conv_algorithm_find(name);
    bool right = layer->needed[pass] ? recorded->algorithm != NULL : strcmp(name, "-") == 0;
    bool last = pass + 1 == CONV_PASSES;
    if (!right || (!last && text[length] != '/')) return NULL;
    return text + length + !last;
}

bool choices_text_read(const autotuner *t, const char *text, recorded_choice recorded[][CONV_PASSES])
{
    for (size_t i = 0; i < t->count && text; i++) {
        const char *name = t->layers[i].name;
        size_t length = strlen(name);
        if (i > 0 && *text++ != ' ') return false;
        if (strncmp(text, name, length) != 0 || text[length] != ':') return false;
        text += length + 1;
        for (int pass = 0; pass < CONV_PASSES && text; pass++) text = read_name(&t->layers[i], text, pass, &recorded[i][pass]);
    }
    return text && *text == '\0';
}

/* The choices as a line of text: "conv1:direct-1ch/-/direct_1ch conv2:winograd/winograd/direct ...", a word for each layer in
 * order; "-" where a product does not exist. */
#include <stdio.h>
#include <string.h>

#include "nn/network_impl.h"

void network_algorithms(const network *net, char text[NETWORK_PLAN_MAX])
{
    int used = 0;
    for (int i = 0; i < MODEL_LAYERS; i++) {
        const char *names[CONV_PASSES];
        for (int pass = 0; pass < CONV_PASSES; pass++) names[pass] = network_needs(net, i, pass) ? network_algorithm(net, i, pass) : "-";
        used += snprintf(text + used, (size_t)(NETWORK_PLAN_MAX - used), "%s%s:%s/%s/%s", i ? " " : "", model_layers[i].name, names[0],
                         names[1], names[2]);
    }
}

/* Reads "name/" or, for the last pass, "name"; NULL if it is not what the walk has there. */
static const char *read_name(const network *net, const char *text, int layer, int pass, network_choices *choices)
{
    char name[NETWORK_NAME_MAX];
    size_t length = strcspn(text, "/ ");
    if (length >= sizeof name) return NULL;
    snprintf(name, sizeof name, "%.*s", (int)length, text);
    choices->algorithm[layer][pass] = conv_algorithm_find(name);
    bool right = network_needs(net, layer, pass) ? choices->algorithm[layer][pass] != NULL : strcmp(name, "-") == 0;
    bool last = pass + 1 == CONV_PASSES;
    if (!right || (!last && text[length] != '/')) return NULL;
    return text + length + !last;
}

bool network_plan_read(const network *net, const char *text, network_choices *choices)
{
    for (int i = 0; i < MODEL_LAYERS && text; i++) {
        size_t length = strlen(model_layers[i].name);
        if (i > 0 && *text++ != ' ') return false;
        if (strncmp(text, model_layers[i].name, length) != 0 || text[length] != ':') return false;
        text += length + 1;
        for (int pass = 0; pass < CONV_PASSES && text; pass++) text = read_name(net, text, i, pass, choices);
    }
    return text && *text == '\0';
}

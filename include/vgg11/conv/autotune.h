/* Which algorithm computes which layer in which pass, for a list of layers. */
#ifndef VGG11_CONV_AUTOTUNE_H
#define VGG11_CONV_AUTOTUNE_H

#include "vgg11/conv/conv.h"

/* Makes one number of many ranks' (the largest), so that all ranks take the same plan, and the same way to it. */
typedef struct {
    void *context;
    double (*agree)(void *context, double value); /* NULL: alone */
} conv_agreement;

typedef struct {
    const char *name; /* "conv1" */
    conv_problem problem;
    bool needed[CONV_PASSES]; /* the others have no plan */
} conv_layer;

typedef struct {
    vgg_precision precision;
    const char *algorithm; /* a row's name to force it for all layers and passes that it accepts, or NULL / "auto" */
    const char *recorded;  /* a line of conv_choices_print(): taken before all else if every rank has the same and can; or NULL */
    bool tune;             /* time the candidates, if one rank asks for it; false takes the first row that accepts on every rank */
    const char *cache;     /* file that keeps timed choices for this CPU; NULL for none */
    int node_ranks;        /* ranks that share this node's memory bus: a timing holds for so many */
    conv_agreement agreement;
} conv_autotune_config;

/* A pass of a layer. */
typedef struct {
    conv_plan plan;     /* algorithm == NULL: the pass is not needed */
    char declined[512]; /* "winograd: reason; ..." */
} conv_choice;

/* Opens a plan for each pass that is needed: by config->recorded, by name, from the cache, by timing, or the first that accepts.
 * choices[count] are zero at first; conv_choices_close() frees them, also after a failure. VGG_UNAVAILABLE if a named algorithm or
 * the precision is not to be had here, or memory is short; VGG_DISAGREE if the ranks' builds have unlike algorithms. Collective if
 * config->agreement is set: ranks may have unlike threads, tune, cache and recorded; what they get may fail on some of them alone. */
vgg_status conv_autotune(const conv_autotune_config *config, const conv_layer *layers, size_t count,
                         conv_choice choices[][CONV_PASSES]);
void conv_choices_close(conv_choice choices[][CONV_PASSES], size_t count);

/* The choices in a line: "conv1:direct-1ch/-/direct-1ch conv2:winograd/winograd/direct ...", a word for each layer in order;
 * "-" where a pass is not needed. */
enum { CONV_CHOICES_TEXT_MAX = 4096 };
void conv_choices_print(const conv_layer *layers, size_t count, const conv_choice choices[][CONV_PASSES],
                        char text[CONV_CHOICES_TEXT_MAX]);

/* The largest that a rank gave, on all: one call to the agreement. And whether one rank says so. */
double conv_agreed(const conv_agreement *agreement, double value);
bool conv_any(const conv_agreement *agreement, bool mine);

#endif

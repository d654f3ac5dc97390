/* The choice of an algorithm for each layer and pass of a list of layers. */
#ifndef VGG11_CONV_AUTOTUNE_H
#define VGG11_CONV_AUTOTUNE_H

#include "vgg11/conv/conv.h"

/* How the ranks agree: agree() returns the largest of the values that they give, the same on all. conv_autotune() decides
 * by such values alone, so that all ranks make the same choices and call agree() equally often. */
typedef struct {
    void *context;
    double (*agree)(void *context, double value); /* collective; NULL where there is one rank */
} conv_agreement;

typedef struct {
    const char *name; /* "conv1" */
    conv_problem problem;
    bool needed[CONV_PASSES]; /* no plan is made for a pass that is not needed */
} conv_layer;

typedef struct {
    vgg_precision precision;
    const char *algorithm; /* a row's name to force it for all layers and passes that it accepts, or NULL / "auto" */
    const char *recorded;  /* a line of conv_choices_print(), taken if all ranks give the same and can open its rows; or NULL */
    bool tune;             /* time the candidates; if no rank asks for it, the first row that accepts on every rank is taken */
    const char *cache;     /* file that keeps timed choices for this CPU; NULL for none */
    bool retune;           /* take nothing from the cache, and write there what is timed now */
    double spread_limit;   /* a choice whose plan.spread is above it is not kept in the cache; 0: all are */
    int node_ranks;        /* ranks that share this node's memory bandwidth: a timing holds for this number */
    conv_agreement agreement;
} conv_autotune_config;

/* A row that declined a pass of a layer, and why. */
typedef struct {
    const conv_algorithm *algorithm;
    char reason[120];
} conv_refusal;

enum { CONV_REFUSALS_MAX = 16 };

/* What was chosen for one pass of one layer. */
typedef struct {
    conv_plan plan; /* plan.algorithm == NULL: the pass is not needed */
    conv_refusal refusals[CONV_REFUSALS_MAX];
    int refusal_count;
} conv_choice;

/* Opens a plan for each pass that is needed: the row that config->recorded names; or else the one that was named, the cached one,
 * the fastest, or the first that accepts. Where the cache has some of the choices, only the others are timed. choices[count] must be
 * zero; conv_choices_close() frees them, also after a failure.
 * VGG_UNAVAILABLE if no row accepts, a named algorithm or the precision is not available here, or memory is short; VGG_DISAGREE if
 * the ranks' builds have different algorithms. Collective if config->agreement is set. Ranks may differ in threads, tune, cache,
 * retune and recorded, and a failure may be one rank's alone: the caller has to agree on the status. */
vgg_status conv_autotune(const conv_autotune_config *config, const conv_layer *layers, size_t count,
                         conv_choice choices[][CONV_PASSES]);
void conv_choices_close(conv_choice choices[][CONV_PASSES], size_t count);

/* Writes the choices as a line, "conv1:direct-1ch/-/direct-1ch conv2:winograd/winograd/direct ...": for each layer in order the
 * rows of its forward, input gradient and weight gradient passes, "-" for a pass that is not needed. */
enum { CONV_CHOICES_TEXT_MAX = 4096 };
void conv_choices_print(const conv_layer *layers, size_t count, const conv_choice choices[][CONV_PASSES],
                        char text[CONV_CHOICES_TEXT_MAX]);

/* What the cache file holds. "Own" choices are those that this build timed on this type of processor, whatever the setting. */
typedef struct {
    int choices;
    int own;
    int64_t oldest, newest;            /* of the own ones that say when they were timed, in seconds since 1970; 0 if none does */
    double median_spread, most_spread; /* of the own ones that say; negative if none does */
} conv_cache_summary;

/* False, and a summary of nothing, if there is no such file, or none that can be a cache, or no memory. */
bool conv_cache_summarize(const char *path, conv_cache_summary *summary);

/* The largest of the values that the ranks give; the same on all. Collective if the agreement is set. */
double conv_agreed(const conv_agreement *agreement, double value);

/* Whether `mine` is true on any rank; the same on all. Collective if the agreement is set. */
bool conv_any(const conv_agreement *agreement, bool mine);

#endif

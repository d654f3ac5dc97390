/* Private to app: what may be why two runs have unlike bits, the likeliest first. */
#ifndef VGG11_APP_COMPARE_CAUSES_H
#define VGG11_APP_COMPARE_CAUSES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "vgg11/base/status.h"

typedef enum {
    CAUSE_CERTAIN,  /* the bits are others for it */
    CAUSE_POSSIBLE, /* they may be */
    CAUSE_NONE      /* they are not */
} cause_weight;

typedef struct {
    const char *name;      /* of the fact */
    const char *values[2]; /* "not recorded" for one that is not known */
    cause_weight weight;
    int order; /* among those of one weight */
} cause;

typedef struct {
    cause *causes;
    size_t count;
} cause_list;

/* Lists the facts that differ between the two of the pair, which keeps the texts, the likeliest first. `in_evaluation`: only what
 * evaluations found differs. VGG_UNAVAILABLE without memory. causes_free() in any case. */
vgg_status causes_find(cause_list *list, json_t *const facts[2], bool in_evaluation);
void causes_free(cause_list *list);

#endif

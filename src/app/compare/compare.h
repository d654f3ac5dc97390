/* Private to app: two runs, or two checkpoints, or one of each, set side by side. */
#ifndef VGG11_APP_COMPARE_COMPARE_H
#define VGG11_APP_COMPARE_COMPARE_H

#include <jansson.h>

#include "app/compare/causes.h"
#include "app/compare/side.h"
#include "vgg11/checkpoint/compare.h"
#include "vgg11/report/metrics_compare.h"

typedef struct {
    compare_side sides[2];
    bool has_metrics; /* both have metrics.jsonl */
    metrics_comparison metrics;
    size_t checkpoints;         /* pairs that were compared, of ascending steps, up to the first that differs */
    size_t passed_over;         /* pairs of which one could not be read */
    vgg_status passed_over_why; /* of the first of these */
    vgg_kept_message passed_over_message;
    uint64_t steps[2]; /* of the last pair that was compared, by the files themselves */
    checkpoint_difference tensors;
    json_t *headers[2]; /* facts of that pair */
    json_t *facts[2];   /* all that are known of both sides in the same way */
    cause_list causes;
} comparison;

bool compare_metrics_differ(const comparison *c);
bool compare_tensors_differ(const comparison *c);
bool compare_differs(const comparison *c);

/* Compares all that both have. VGG_BAD_CHECKPOINT if that is nothing. compare_close() in any case. */
vgg_status compare_open(const char *const paths[2], comparison *c);
void compare_close(comparison *c);

void compare_print_text(const comparison *c);
vgg_status compare_print_json(const comparison *c);

#endif

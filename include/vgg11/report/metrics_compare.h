/* Two files metrics.jsonl, step by step. Not collective. */
#ifndef VGG11_REPORT_METRICS_COMPARE_H
#define VGG11_REPORT_METRICS_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "vgg11/base/status.h"

/* What is compared of a step, in the order in which a step computes it, and then of an evaluation after it. `skipped` is 1 of a step
 * that changed nothing. Times and rates are not compared. */
typedef enum {
    METRICS_SKIPPED,
    METRICS_SAMPLES,
    METRICS_LOSS,
    METRICS_ACCURACY,
    METRICS_GRAD_NORM,
    METRICS_CLIP_SCALE,
    METRICS_LR,
    METRICS_TEST_LOSS,
    METRICS_TEST_ACCURACY,
    METRICS_QUANTITIES
} metrics_quantity;

/* As metrics.jsonl has them: "loss", "grad_norm". */
extern const char *const metrics_quantity_names[METRICS_QUANTITIES];

/* Of an evaluation, rather than of a step. */
static inline bool metrics_is_evaluated(metrics_quantity quantity) { return quantity >= METRICS_TEST_LOSS; }

typedef struct {
    uint64_t first, last; /* steps; 0 if there is none */
    uint64_t count;
} metrics_range;

typedef struct {
    metrics_range all[2];                 /* what each file has */
    metrics_range common;                 /* what both have */
    uint64_t step;                        /* the first of these in which a quantity differs; 0: none */
    metrics_quantity first;               /* of those that differ in that step */
    bool unlike[METRICS_QUANTITIES];      /* all that differ in that step */
    double values[METRICS_QUANTITIES][2]; /* in that step; NaN for what was not finite, or is not there */
    char *starts[2]; /* the line `start` of the process that took that step, with its ranks and algorithms; NULL if there is none */
} metrics_comparison;

/* Compares the numbers as they are written. Of a step that a run took again after it had gone back, the last line counts; lines that
 * are no JSON, such as a torn last one, are passed over. VGG_IO_ERROR for a file that cannot be read, VGG_UNAVAILABLE without
 * memory. metrics_comparison_clear() in any case. */
vgg_status metrics_compare(const char *const paths[2], metrics_comparison *comparison);
void metrics_comparison_clear(metrics_comparison *comparison);

#endif

/* The benchmark: the machine's peaks, and the parts of a training step compared with the limits that follow from them, on synthetic
 * data. */
#ifndef VGG11_BENCH_BENCH_H
#define VGG11_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "vgg11/base/spans.h"
#include "vgg11/base/status.h"
#include "vgg11/comm/comm.h"
#include "vgg11/train/step.h"

/* What is measured. The machine's peaks always are, since all limits follow from them. */
typedef struct {
    const char *name;
    const char *good_when;
    bool layers;   /* a line for each layer and pass */
    bool step;     /* the whole step and its parts */
    bool exchange; /* a line for each exchange strategy */
} bench_part;

/* Ended by a row whose name is NULL. */
extern const bench_part bench_parts[];

/* The row of that name; NULL if there is none. */
const bench_part *bench_part_find(const char *name);

typedef struct {
    const bench_part *part;
    training_step_config step; /* batch_size: images of all ranks together, >= 1 */
    uint32_t repeats;          /* timed steps, >= 1, whose medians are reported */
    uint64_t seed;             /* of the synthetic images, labels and weights */
    bool json;                 /* JSON on standard output instead of tables */
    const char *provenance;    /* a JSON text that goes into that; NULL for none, or on other ranks than 0 */
    const char *plot;          /* folder for pictures, created if it does not exist; NULL for none */
} bench_config;

/* Collective; the same status on all ranks. Rank 0 prints. VGG_UNAVAILABLE if a named algorithm or exchange is not available or
 * memory is short; VGG_IO_ERROR if results or pictures cannot be written. Without gnuplot there is a warning instead of
 * pictures. */
vgg_status bench_run(comm *c, const bench_config *config);

/* Collective. What this rank's threads can do at most, of all ranks at work at once, measured in a second or so; operations are those of
 * the fastest instructions for this precision. VGG_UNAVAILABLE on all ranks without memory to read and write. */
vgg_status bench_span_limits(comm *c, int threads, vgg_precision precision, span_limits *limits);

#endif

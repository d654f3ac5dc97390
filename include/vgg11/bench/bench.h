/* The benchmark: the machine's limits, and each part of a training step against them, on synthetic data. */
#ifndef VGG11_BENCH_BENCH_H
#define VGG11_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "vgg11/base/status.h"
#include "vgg11/comm/comm.h"
#include "vgg11/train/step.h"

/* What of it is wanted. The limits are always measured: fractions need them. */
typedef struct {
    const char *name;
    const char *good_when;
    bool layers;   /* a line for each layer and pass */
    bool step;     /* the whole step and its parts */
    bool exchange; /* a line for each exchange strategy */
} bench_part;

/* Ended by a row whose name is NULL. */
extern const bench_part bench_parts[];
const bench_part *bench_part_find(const char *name);

typedef struct {
    const bench_part *part;
    training_step_config step; /* batch_size: global, images of all ranks together, >= 1 */
    uint32_t repeats;          /* timed steps, >= 1; medians of these */
    uint64_t seed;             /* of the synthetic images, labels and weights */
    bool json;                 /* JSON on standard output instead of tables */
    const char *plot;          /* folder for pictures, made if it is not there; NULL for none */
} bench_config;

/* Collective; the same status on all ranks. Rank 0 prints. VGG_UNAVAILABLE if an algorithm or exchange that was named,
 * or the memory, is not to be had; VGG_IO_ERROR if pictures cannot be written. Without gnuplot there are none, and a
 * warning. */
vgg_status bench_run(comm *c, const bench_config *config);

#endif

/* The results of a benchmark, from which text, JSON and pictures are made. Every rank has the same values. All times are in
 * seconds. */
#ifndef VGG11_BENCH_RESULT_H
#define VGG11_BENCH_RESULT_H

#include "bench/machine_peaks.h"
#include "bench/op_counts.h"
#include "vgg11/bench/bench.h"
#include "vgg11/nn/model.h"

/* The time of a part of a step, its operations, and the time that they take at least (its limit). */
typedef struct {
    double median_s; /* 0 if the part does not exist (conv1 has no input gradient) */
    double least_s;
    double most_s;
    op_count ops;
    double limit_s;         /* by the roofline model; 0 where none is known */
    double algorithm_flops; /* operations that the algorithms in use make: of Winograd's fewer, of tiles that are not full more */
    double bound_s;         /* limit_s with these instead of `ops`'; 0 where none is known */
} measurement;

typedef enum {
    STEP_PREPARE, /* packing of the new weights */
    STEP_FORWARD,
    STEP_BACKWARD, /* with the loss; without the exchange within it */
    STEP_EXCHANGE, /* the exposed part, which backward does not hide */
    STEP_UPDATE,   /* norm, clipping, gradients in factors, new weights and velocity, their publication */
    STEP_EXCHANGE_AND_UPDATE,
    STEP_WHOLE,
    STEP_PARTS
} step_part;

/* One exchange strategy. */
typedef struct {
    char name[32];
    measurement total; /* exchange and update, with no backward pass to hide them */
    double exchange_s;
    double update_s;
    exchange_costs cost;
    char declined[256]; /* why it was not measured; "" if it was */
} exchange_result;

enum { EXCHANGES_MAX = 16 };

typedef struct {
    int ranks, nodes;
    int threads; /* of all ranks together */
    machine_peaks peaks;
    measurement layers[MODEL_LAYERS][CONV_PASSES];
    char algorithms[MODEL_LAYERS][CONV_PASSES][32];
    bool in_update[MODEL_LAYERS]; /* the kernel's gradient is in factors, computed in the update: it has no time of its own */
    measurement step[STEP_PARTS];
    double *step_seconds;        /* [repeats]: each whole step, in order; malloc'd */
    char reason[512];            /* why the step's exchange was chosen */
    char exchange[32];           /* the step's */
    size_t network_bytes;        /* memory of rank 0's network */
    double tile_products;        /* products of matrix tiles in a step of rank 0 */
    double fewest_tile_products; /* the fewest that could do the same multiply-adds */
    exchange_costs cost;         /* of the step's exchange */
    exchange_result exchanges[EXCHANGES_MAX];
    int exchange_count;
} bench_result;

extern const char *const bench_pass_names[CONV_PASSES];
extern const char *const bench_step_names[STEP_PARTS];

/* Limit over median; 0 where no limit is known. */
double measurement_fraction(const measurement *m);

/* Sets the median, least and most of `count` samples, which it sorts. */
void measurement_take(measurement *m, double *samples, uint32_t count);

/* Parts of bench_run() that measure times. Collective. */
vgg_status bench_measure_step(comm *c, const bench_config *config, bench_result *result);
vgg_status bench_measure_exchanges(comm *c, const bench_config *config, bench_result *result);

/* A layer as a problem of conv.h, without what does not change how many products there are. */
conv_problem bench_problem(int layer);

/* Sets the operations and the limits of every measurement, from result->peaks. */
void bench_set_limits(const bench_config *config, bench_result *result);

/* Parts of bench_run() on rank 0. */
void bench_print_text(const bench_config *config, const bench_result *result);
vgg_status bench_print_json(const bench_config *config, const bench_result *result);
vgg_status bench_plot(const bench_config *config, const bench_result *result);

#endif

/* What a benchmark found, for the text, JSON and pictures. Kept on every rank with the same values; all times in
 * seconds. */
#ifndef VGG11_BENCH_RESULT_H
#define VGG11_BENCH_RESULT_H

#include "bench/machine_peaks.h"
#include "bench/op_counts.h"
#include "vgg11/bench/bench.h"
#include "vgg11/nn/model.h"

/* One measured thing: how long it took, how much work it is, and how long it must take at least. */
typedef struct {
    double median_s; /* 0: there is no such thing (conv1 has no input gradient) */
    double least_s;
    double most_s;
    op_count work;
    double limit_s; /* least time that the limits allow; 0 where none is known */
} measurement;

typedef enum {
    STEP_PREPARE, /* packing of the new weights */
    STEP_FORWARD,
    STEP_BACKWARD, /* with the loss; without the exchange's share */
    STEP_EXCHANGE, /* what of it is not hidden behind backward */
    STEP_UPDATE,   /* norm, clipping, gradients in factors, new weights and velocity, their publication */
    STEP_MOVING,   /* exchange and update */
    STEP_WHOLE,
    STEP_PARTS
} step_part;

typedef struct {
    char name[32];
    measurement total; /* exchange and update, with nothing to hide behind */
    double exchange_s;
    double update_s;
    exchange_costs cost;
    char declined[256]; /* why it was not measured; "" if it was */
} exchange_result;

enum { STRATEGIES_MAX = 16 };

typedef struct {
    int ranks, nodes;
    int threads; /* of all ranks together */
    machine_peaks limits;
    measurement layers[MODEL_LAYERS][CONV_PASSES];
    char algorithms[MODEL_LAYERS][CONV_PASSES][32];
    bool in_update[MODEL_LAYERS]; /* the kernel's gradient is in factors, and made in the update: no time of its own */
    measurement step[STEP_PARTS];
    double *step_seconds; /* [repeats]: each whole step, in order; malloc'd */
    char reason[512];     /* why this one */
    char exchange[32];    /* the step's */
    size_t network_bytes; /* of rank 0's network */
    double tile_products; /* of matrix tiles, in a step of rank 0, and the fewest that could hold what they multiply */
    double fewest_tile_products;
    exchange_costs cost; /* of the step's exchange */
    exchange_result strategies[STRATEGIES_MAX];
    int strategy_count;
} bench_result;

extern const char *const bench_pass_names[CONV_PASSES];
extern const char *const bench_step_names[STEP_PARTS];

/* Least time over median; 0 where no limit is known. */
double measurement_fraction(const measurement *m);

/* Fills median, least and most of `count` samples, which it sorts. */
void measurement_take(measurement *m, double *samples, uint32_t count);

/* Collective parts of bench_run(): times alone. */
vgg_status bench_measure_step(comm *c, const bench_config *config, bench_result *result);
vgg_status bench_measure_exchanges(comm *c, const bench_config *config, bench_result *result);

/* Sets every time's work and limit, once the limits are known. */
void bench_set_limits(const bench_config *config, bench_result *result);

/* On rank 0. */
void bench_print_text(const bench_config *config, const bench_result *result);
vgg_status bench_print_json(const bench_config *config, const bench_result *result);
vgg_status bench_plot(const bench_config *config, const bench_result *result);

#endif

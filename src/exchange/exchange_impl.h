/* The interface of an exchange strategy. A strategy is one file with one exported exchange_functions, and one row in registry.c. */
#ifndef VGG11_EXCHANGE_EXCHANGE_IMPL_H
#define VGG11_EXCHANGE_EXCHANGE_IMPL_H

#include "exchange/blocks.h"
#include "comm/comm_impl.h"
#include "exchange/micro_batches.h"
#include "vgg11/exchange/exchange.h"

/* The steps of exchange.h. open() sets gradient, weights, velocity, owned, first_micro_batch and cost; close() frees all memory
 * that it has allocated, also after a failed open(). open() is collective and returns the same status on all ranks: VGG_DECLINED,
 * with the reason, where the strategy does not do what is asked. Functions may be NULL where their comment says what that means. */
typedef struct {
    vgg_status (*open)(exchange *ex);
    void (*close)(exchange *ex);
    void (*begin)(exchange *ex);                                   /* NULL: nothing to reset */
    void (*range_final)(exchange *ex, size_t first, size_t count); /* NULL: waits for finish() */
    void (*poll)(exchange *ex);                                    /* NULL: no messages are under way meanwhile */
    void (*finish)(exchange *ex);                                  /* leaves the gradient in excluded blocks as it is */
    const double *(*square_sums)(exchange *ex);                    /* sum of squares of each block of ex->blocks */
    void (*publish)(exchange *ex);                                 /* NULL: every rank updates everything */
    void (*distribute)(exchange *ex, float *buffer);
    void (*collect)(exchange *ex, float *buffer); /* NULL: every rank has everything */
} exchange_functions;

typedef struct {
    const char *name;
    const char *good_when;
    const exchange_functions *functions;
    /* The ranks of a node share one copy of weights and velocity. finish(), square_sums() and publish() are barriers and memory
     * fences for ex->node_scratch, too. */
    bool shares_memory;
} exchange_row;

/* All strategies, those that are expected to be fastest first, the reference last. */
extern const exchange_row exchange_rows[];
extern const size_t exchange_row_count;
enum { EXCHANGE_ROWS_MAX = 16 };

/* Number of buffers that exchange_check() compares: weights and velocity. */
enum { EXCHANGE_CHECKED = 2 };

extern const exchange_functions exchange_node;
extern const exchange_functions exchange_overlap;
extern const exchange_functions exchange_allreduce;

struct exchange {
    const exchange_row *row;
    comm *c;
    exchange_config config; /* segments are a copy; excluded is NULL, since it is in blocks */
    block_table blocks;
    micro_batch_tree micro_batches;
    float *gradient;
    float *weights;
    float *velocity;
    vgg_range owned;
    int bucket_mib;        /* in use; 0 for a strategy that has no buckets */
    int first_micro_batch; /* index of this rank among those that hold micro-batches */
    exchange_costs cost;
    comm_shared *node_scratch; /* config.node_scratch_bytes, or NULL */
    void *state;               /* the strategy's own */
    double exposed_s;
    span_log *spans;                   /* NULL: no trace */
    uint64_t hashes[EXCHANGE_CHECKED]; /* if `known`, those of the last check */
    bool known;                        /* the buffers must still be what the last check found */
    size_t checks;                     /* so far */
    char reason[512];                  /* for exchange_reason() */
};

/* Spans of what often finds nothing to do are told from here on. */
#define EXCHANGE_TOLD_S 20e-6

/* One set of the three buffers for this rank, which owns all of it: for strategies without shared memory. */
vgg_status replicated_buffers_open(exchange *ex);
void replicated_buffers_close(exchange *ex);
void replicated_buffers_distribute(exchange *ex, float *buffer);
const double *replicated_buffers_square_sums(exchange *ex);

/* Whether numbers are sent between nodes as bfloat16. */
static inline bool exchange_wire_is_bf16(const exchange *ex) { return ex->config.wire == WIRE_BF16 && ex->c->node_count > 1; }

/* Collective; the same status on all ranks. Opens `row`: VGG_OK, VGG_UNAVAILABLE without memory, or what its open() returns. */
vgg_status exchange_open_row(comm *c, const exchange_config *config, const exchange_row *row, exchange **out);

typedef struct {
    const exchange_row *row;
    double seconds; /* of a step; INFINITY: declined */
} exchange_candidate;

/* Sorts by time, the fastest first; equally fast ones keep their order. */
void exchange_sort_by_time(exchange_candidate *candidates, size_t count);

/* Collective. Opens the row that was the fastest when timed or, without tuning, the first of the table that opens. */
vgg_status exchange_open_auto(comm *c, const exchange_config *config, exchange **out);

#endif

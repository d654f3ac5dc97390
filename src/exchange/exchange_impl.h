/* What an exchange strategy is made of. A strategy is one file with one exported exchange_functions, and one row in
 * exchange_list.c. */
#ifndef VGG11_EXCHANGE_EXCHANGE_IMPL_H
#define VGG11_EXCHANGE_EXCHANGE_IMPL_H

#include "exchange/blocks.h"
#include "comm/comm_impl.h"
#include "exchange/micro_batches.h"
#include "vgg11/exchange/exchange.h"

/* The steps of exchange.h. open() sets gradient, weights, velocity, owned, leaf and cost; all memory that it makes is freed by
 * close(), also after a failed open(). open() is collective and its status agreed; VGG_DECLINED, with the reason, where the
 * strategy does not do what is asked. Functions that say so may be NULL. */
typedef struct {
    vgg_status (*open)(exchange *ex);
    void (*close)(exchange *ex);
    void (*begin)(exchange *ex);                                   /* NULL: nothing to reset */
    void (*range_final)(exchange *ex, size_t first, size_t count); /* NULL: waits for finish() */
    void (*poll)(exchange *ex);                                    /* NULL: nothing goes on meanwhile */
    void (*finish)(exchange *ex);                                  /* leaves alone the blocks that are apart */
    const double *(*square_sums)(exchange *ex);                    /* sum of squares of each block of ex->blocks */
    void (*publish)(exchange *ex);                                 /* NULL: every rank updates everything */
    void (*distribute)(exchange *ex, float *buffer);
    void (*collect)(exchange *ex, float *buffer); /* NULL: every rank has everything */
} exchange_functions;

typedef struct {
    const char *name;
    const char *good_when;
    const exchange_functions *functions;
    bool
        shares_memory; /* a node has one copy of weights and velocity; finish(), square_sums() and publish() are fences for ex->node_scratch, too */
} exchange_row;

/* All strategies, fastest first by expectation, the reference last. */
extern const exchange_row exchange_rows[];
extern const size_t exchange_row_count;
enum { EXCHANGE_ROWS_MAX = 16 };

/* Buffers that exchange_check() looks at: weights and velocity. */
enum { EXCHANGE_CHECKED = 2 };

extern const exchange_functions exchange_node;
extern const exchange_functions exchange_overlap;
extern const exchange_functions exchange_allreduce;

struct exchange {
    const exchange_row *row;
    comm *c;
    exchange_config config; /* segments: a copy; apart: gone */
    block_table blocks;
    micro_batch_tree micro_batches;
    float *gradient;
    float *weights;
    float *velocity;
    vgg_range owned;
    int bucket_mib;        /* in use; 0 for a strategy that has no buckets */
    int first_micro_batch; /* this rank's place in the tree of micro-batches */
    exchange_costs cost;
    comm_shared *node_scratch; /* config.node_scratch_bytes, or NULL */
    void *state;               /* the strategy's own */
    double exposed_s;
    uint64_t hashes[EXCHANGE_CHECKED]; /* if known, what the last check found */
    bool known;                        /* and nobody was to write since */
    size_t checks;
    char reason[512];
};

/* One set of the three buffers for this rank alone, all of it owned; for strategies that share nothing. */
vgg_status replicated_buffers_open(exchange *ex);
void replicated_buffers_close(exchange *ex);
void replicated_buffers_distribute(exchange *ex, float *buffer);
const double *replicated_buffers_square_sums(exchange *ex);

/* Numbers cross a wire and are to be sent as bfloat16. */
static inline bool exchange_wire_is_narrow(const exchange *ex) { return ex->config.wire == WIRE_BF16 && ex->c->node_count > 1; }

/* Collective. Opens `row`; VGG_DECLINED, VGG_UNAVAILABLE or VGG_BAD_OPTION as its open() says, on all ranks. */
vgg_status exchange_open_row(comm *c, const exchange_config *config, const exchange_row *row, exchange **out);

typedef struct {
    const exchange_row *row;
    double seconds; /* of a step; INFINITY: declined */
} exchange_candidate;

/* The fastest first; of equally fast ones, the one that came first stays so. */
void exchange_sort_by_time(exchange_candidate *candidates, size_t count);

/* Collective. Opens the row that suits these ranks best, or, where nothing is to be timed, the first of the table that opens. */
vgg_status exchange_open_auto(comm *c, const exchange_config *config, exchange **out);

#endif

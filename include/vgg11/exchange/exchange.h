/* Gradient exchange: sums the ranks' gradients, and says which part of the weights each rank updates.
 *
 * A strategy owns the three flat buffers, since where they lie is its business (one set a rank, or one a node). A step:
 *
 *   exchange_begin()          the backward walk starts writing `gradient`
 *   exchange_range_final()    ... as ranges become final (any order, together the whole buffer)
 *   exchange_poll()           ... now and then, so that what is under way goes on
 *   exchange_finish()         now `gradient` holds the sum over ranks on the owned range (elsewhere: undefined)
 *   exchange_square_sums()    sums of squares per segment of the summed gradient
 *   ... the caller updates weights and velocity on the owned range ...
 *   exchange_publish()        now all of `weights` is the new one, on every rank with the same bits
 *
 * All functions are Collective except the accessors, exchange_range_final() and exchange_poll(). A strategy sums with weight
 * one: the caller has scaled its gradient by 1 / global batch, so unequal parts are right. NaN and Inf pass through.
 */
#ifndef VGG11_EXCHANGE_EXCHANGE_H
#define VGG11_EXCHANGE_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/range.h"
#include "vgg11/base/status.h"
#include "vgg11/comm/comm.h"

typedef struct exchange exchange;

/* Numbers between nodes. WIRE_BF16 carries what rounding takes away on to the next step, in memory that is no part of weights
 * or velocity: a run that resumes begins with none carried. */
typedef enum { WIRE_FP32, WIRE_BF16 } exchange_wire;

typedef struct {
    const char *name;          /* a row's name, or "auto" */
    const char *reason;        /* for exchange_reason(), of a row's name; NULL: "named" */
    size_t count;              /* floats in each flat buffer; a multiple of 16 */
    const vgg_range *segments; /* tensors: disjoint, ascending, each starting at a multiple of 16; copied */
    size_t segment_count;
    /* Which segments' gradients can be had from common memory of node_scratch_bytes in place of the buffer; NULL: none. Copied. Where
     * exchange_node_scratch() gives that memory, such a segment is not summed, its square sum is 0, and nobody owns it: who updates which
     * part of it is the caller's to say. */
    const bool *excluded;
    size_t node_scratch_bytes;
    exchange_wire wire;
    int threads;       /* OpenMP threads for sums */
    int micro_batches; /* 0: as many as ranks. Else a power of two: see exchange_micro_batches() */
    bool tune;         /* time what is left open: "auto", a bucket of 0. Else "auto" takes the first row that opens on all ranks */
    int bucket_mib;    /* of "overlap": a message's size, which no bit of a sum depends on; 0: for us to choose */
} exchange_config;

/* Collective. VGG_UNAVAILABLE if a named strategy declines or memory is short; VGG_BAD_OPTION if micro-batches do not fit. */
vgg_status exchange_create(comm *c, const exchange_config *config, exchange **out);
void exchange_destroy(exchange *ex);

/* The strategy in use and, for "auto", why: "node (timed: node 9.1 ms, overlap 31.0 ms)", "node (first that opens; not timed)". */
const char *exchange_name(const exchange *ex);
const char *exchange_reason(const exchange *ex);

float *exchange_gradient(exchange *ex);       /* [count], this rank's own to write between begin and finish */
float *exchange_weights(exchange *ex);        /* [count]; write only the owned range, between finish and publish */
float *exchange_velocity(exchange *ex);       /* [count]; likewise */
vgg_range exchange_owned(const exchange *ex); /* but segments apart, which it may reach over */

/* Memory of config.node_scratch_bytes, 64-byte aligned, that all ranks share; NULL if none was asked for, or the ranks do not all share
 * memory, or gradients are in micro-batches. Ranks write it between begin and finish, each its own part, and then see all of it; or
 * between finish and square_sums, likewise. Nobody writes between square_sums and publish. */
void *exchange_node_scratch(exchange *ex);

void exchange_begin(exchange *ex);
void exchange_range_final(exchange *ex, size_t first, size_t count);
void exchange_poll(exchange *ex);
void exchange_finish(exchange *ex);

/* With config.micro-batches = S > 0 the sum is ((s0 + s1) + (s2 + s3)) + ... over the S micro-batches of the global batch, whoever holds them:
 * the same bits on 1, 2, 4, .. S ranks. A rank holds S / ranks micro-batches in a row and gives them one after the other, for index
 * 0, 1, ..: it writes the gradient of one to exchange_micro_batch_gradient() and says with exchange_micro_batch_range_final() which ranges
 * are complete, which adds them to those before; for the last micro-batch this tells exchange_range_final() too. Without micro-batches
 * (S = 0) a rank has one, its own, and the same calls do what exchange_gradient() and exchange_range_final() do.
 * Takes log2(S / ranks) further buffers. */
vgg_range exchange_micro_batches(
    const exchange *ex); /* first: of all S (without micro-batches, of the ranks); count: this rank's */
float *exchange_micro_batch_gradient(exchange *ex, int index); /* [count], 0 <= index < exchange_micro_batches().count */
void exchange_micro_batch_range_final(exchange *ex, int index, size_t first, size_t count);

/* sums[segment_count]: sum of squares of each segment of the summed gradient, in double, the same bits on every rank and
 * for any number of ranks and threads given the same gradient: added within fixed blocks in fixed lanes, then over the
 * blocks in order. Only between finish and publish. */
void exchange_square_sums(exchange *ex, double *sums);

void exchange_publish(exchange *ex);

/* Distributes weights or velocity (all of it, on every rank) after rank 0 has filled its own: start and resume. Where
 * buffers are shared, the ranks of a node share one copy. `buffer` is exchange_weights() or exchange_velocity(). */
void exchange_distribute(exchange *ex, float *buffer);

/* Makes `buffer` (weights or velocity) complete on rank 0, e.g. before a checkpoint. */
void exchange_collect(exchange *ex, float *buffer);

/* Collective, while nobody writes weights or velocity: between finish and the update, or after publish. VGG_DISAGREE on all ranks
 * if weights or velocity
 *  - differ in any bit between copies: each rank has its own, or each node where its ranks share one. Those in the minority are
 *    named; where there is no majority, as between two, both sides;
 *  - are not what the last check found, though no update was published since: a bit that has flipped, or a write from elsewhere.
 * Where all ranks share one copy (node, on one node) there is nothing to compare it with, so that only the second can be found: a
 * change that an update has taken up is not. Ranks that share a copy read it by turns, each a part that another one read before. */
vgg_status exchange_check(exchange *ex);

typedef struct {
    uint64_t bytes_sent;        /* per rank and step, over MPI */
    uint64_t bytes_touched;     /* per rank and step, memory read and written by exchange, norm and update at the least */
    uint64_t memory_rank_bytes; /* private to this rank */
    uint64_t memory_node_bytes; /* shared, once a node */
} exchange_costs;
exchange_costs exchange_cost(const exchange *ex);

/* Seconds of this rank spent in exchange_range_final(), exchange_poll() and exchange_finish() since exchange_begin(): the part
 * of the exchange that is not hidden behind the backward walk. */
double exchange_exposed_s(const exchange *ex);

/* The table, for --help and tests. */
typedef struct {
    const char *name;
    const char *good_when;
} exchange_entry;
size_t exchange_entries(const exchange_entry **entries);

#endif

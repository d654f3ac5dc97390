/* Gradient exchange: sums the ranks' gradients, and says which part of the weights each rank updates.
 *
 * A strategy owns the three flat buffers, since it decides where they lie (one set for each rank, or one for each node). A step:
 *
 *   exchange_begin()          the backward pass starts writing the gradient
 *   exchange_range_final()    ... a range of it is final (in any order, together the whole buffer)
 *   exchange_poll()           ... messages under way make progress
 *   exchange_finish()         the gradient holds the sum over ranks on the owned range (elsewhere it is undefined)
 *   exchange_square_sums()    sums of squares of each segment of the summed gradient
 *   ... the caller updates weights and velocity on the owned range ...
 *   exchange_publish()        all weights are the new ones, with the same bits on every rank
 *
 * All functions are Collective except the accessors, exchange_range_final() and exchange_poll(). A strategy adds the ranks'
 * gradients as they are: the caller has scaled its gradient by 1 / global batch, so that unequal parts give the mean. NaN and Inf
 * pass through.
 */
#ifndef VGG11_EXCHANGE_EXCHANGE_H
#define VGG11_EXCHANGE_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/range.h"
#include "vgg11/base/spans.h"
#include "vgg11/base/status.h"
#include "vgg11/comm/comm.h"

typedef struct exchange exchange;

/* The type of numbers sent between nodes. WIRE_BF16 adds the rounding error of a step to the next step's numbers (error feedback).
 * The errors are not part of weights or velocity: a resumed run starts with errors of zero. */
typedef enum { WIRE_FP32, WIRE_BF16 } exchange_wire;

typedef struct {
    const char *name;          /* a row's name, or "auto" */
    const char *reason;        /* where `name` is a row's: why it is taken, for exchange_reason(); NULL for "named" */
    size_t count;              /* floats in each flat buffer; a multiple of 16 */
    const vgg_range *segments; /* tensors: disjoint, ascending, each starting at a multiple of 16; copied */
    size_t segment_count;
    /* [segment_count] or NULL; copied. Segments whose gradients the caller exchanges through exchange_node_scratch() instead of the
     * buffer. Where that returns memory, an excluded segment is not summed, its square sum is 0, and no rank owns it: the caller
     * decides which rank updates which part of it. */
    const bool *excluded;
    size_t node_scratch_bytes; /* size of that memory; 0 for none */
    exchange_wire wire;
    int threads;       /* OpenMP threads for sums */
    int micro_batches; /* of the global batch: a power of two, see exchange_micro_batches(); 0: one for each rank */
    bool tune;      /* choose by timing where "auto" or a bucket of 0 leaves it open; else "auto" takes the first row that opens */
    int bucket_mib; /* of "overlap": size of a bucket, which changes no bit of a sum; 0: to be chosen */
} exchange_config;

/* Collective; the same status on all ranks. VGG_UNAVAILABLE if a named strategy declines or memory is short; VGG_BAD_OPTION if the
 * name is unknown or micro-batches do not fit the ranks. exchange_destroy() frees (NULL is fine). */
vgg_status exchange_create(comm *c, const exchange_config *config, exchange **out);
void exchange_destroy(exchange *ex);

/* The name of the strategy, and the same with the reason why it is used: "node (timed: node 9.1 ms, overlap 31.0 ms)", "node
 * (named)". */
const char *exchange_name(const exchange *ex);
const char *exchange_reason(const exchange *ex);

float *exchange_gradient(exchange *ex);       /* [count]: this rank's, which it writes between begin and finish */
float *exchange_weights(exchange *ex);        /* [count]: to be written on the owned range only, between finish and publish */
float *exchange_velocity(exchange *ex);       /* [count]: to be written on the owned range only, between finish and publish */
vgg_range exchange_owned(const exchange *ex); /* the part that this rank updates, except for excluded segments within it */

/* Memory of config.node_scratch_bytes, 64-byte aligned, that all ranks share; NULL if none was asked for, not all ranks share
 * memory, or micro-batches fix the order of the sum. What each rank writes to its part between begin and finish, all ranks see
 * after finish; what it writes between finish and square_sums, all ranks see after square_sums. Between square_sums and publish no
 * rank may write. */
void *exchange_node_scratch(exchange *ex);

void exchange_begin(exchange *ex);
void exchange_range_final(exchange *ex, size_t first, size_t count);
void exchange_poll(exchange *ex);
void exchange_finish(exchange *ex);

/* With config.micro_batches = S > 0 the sum is ((s0 + s1) + (s2 + s3)) + ... over the S micro-batches of the global batch,
 * whichever ranks hold them: it has the same bits on 1, 2, 4, .. S ranks. A rank holds S / ranks consecutive micro-batches. For
 * each of them, index 0, 1, .., it writes the gradient to exchange_micro_batch_gradient() and tells
 * exchange_micro_batch_range_final() which ranges are final: this adds them to those of the micro-batches before, and at the last
 * one calls exchange_range_final(). Without micro-batches (S = 0) a rank has a single one, and these functions do what
 * exchange_gradient() and exchange_range_final() do. Needs log2(S / ranks) more buffers.
 *
 * exchange_micro_batches(): the first of this rank's among all S (or, without micro-batches, among the ranks), and how many it has.
 * exchange_micro_batch_gradient(): [count], 0 <= index < exchange_micro_batches().count. */
vgg_range exchange_micro_batches(const exchange *ex);
float *exchange_micro_batch_gradient(exchange *ex, int index);
void exchange_micro_batch_range_final(exchange *ex, int index, size_t first, size_t count);

/* sums[segment_count]: sum of squares of each segment of the summed gradient, in double precision. The sums are added within fixed
 * blocks in fixed SIMD lanes and then over the blocks in order, so that they have the same bits on every rank, and for the same
 * gradient with any number of ranks and threads. To be called between finish and publish. */
void exchange_square_sums(exchange *ex, double *sums);

void exchange_publish(exchange *ex);

/* Copies weights or velocity, which rank 0 has filled, to all ranks: at the start and when resuming. `buffer` is exchange_weights()
 * or exchange_velocity(). */
void exchange_distribute(exchange *ex, float *buffer);

/* Makes `buffer`, exchange_weights() or exchange_velocity(), complete on rank 0, e.g. before a checkpoint. */
void exchange_collect(exchange *ex, float *buffer);

/* Collective, while no rank writes weights or velocity: between finish and the update, or after publish. VGG_DISAGREE on all ranks
 * if weights or velocity
 *  - differ in any bit between copies, of which each rank has one, or each node where its ranks share one. The message names the
 *    ranks in the minority or, where there is no majority, as between two copies, both sides;
 *  - are not what the last check found, though no update was published since: a bit has flipped, or something else has written
 *    there.
 * Where all ranks share one copy (node, on one node) only the second can be found, and not a change from before the last update.
 * Ranks that share a copy each read a part of it, and in each check another part. */
vgg_status exchange_check(exchange *ex);

typedef struct {
    uint64_t bytes_sent;        /* per rank and step, by MPI */
    uint64_t bytes_touched;     /* per rank and step: the least that exchange, norm and update read from and write to memory */
    uint64_t memory_rank_bytes; /* private memory of this rank */
    uint64_t memory_node_bytes; /* memory that the ranks of the node share */
} exchange_costs;

exchange_costs exchange_cost(const exchange *ex);

/* Seconds that this rank has spent in exchange_range_final(), exchange_poll() and exchange_finish() since exchange_begin(): the
 * exposed part of the exchange, which the backward pass does not hide. */
double exchange_exposed_s(const exchange *ex);

/* From now on what this rank does in the exchange goes into `log`, which must outlive that: sums, waiting for other ranks, polls that take
 * longer than 20 us, and in lines of their own the buckets that are under way between ranks. NULL: no more. */
void exchange_trace(exchange *ex, span_log *log);

/* The table of strategies, for --help and tests: exchange_entries() returns how many there are. */
typedef struct {
    const char *name;
    const char *good_when;
} exchange_entry;

size_t exchange_entries(const exchange_entry **entries);

#endif

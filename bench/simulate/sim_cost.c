/* In place of src/exchange/tree_sum.c, square_sum.c and error_feedback.c, the arithmetic of an exchange: its memory traffic as simulated time. */
#include "sim_cost.h"

#include <simgrid/actor.h>
#include <smpi/smpi.h>

#include "exchange/error_feedback.h"
#include "exchange/blocks.h"
#include "exchange/tree_sum.h"

static double bandwidth = 1e10;

void sim_set_bandwidth(double bytes_per_s) { bandwidth = bytes_per_s; }

double sim_now(void) { return MPI_Wtime(); }

void sim_pass(double seconds) { sg_actor_sleep_for(seconds); }

void sim_move(size_t bytes) { sim_pass((double)bytes / bandwidth); }

void sum_pair(float *out, const float *a, const float *b, size_t count)
{
    (void)out, (void)a, (void)b;
    sim_move(3 * count * sizeof(float));
}

void sum_tree(float *out, const float *const *sources, int source_count, size_t first, size_t count)
{
    (void)out, (void)sources, (void)first;
    sim_move(((size_t)source_count + 1) * count * sizeof(float));
}

void sum_tree_by_threads(float *out, const float *const *sources, int source_count, vgg_range floats, int threads)
{
    (void)threads;
    sum_tree(out, sources, source_count, floats.first, floats.count);
}

/* The node exchange takes it while the block is in the cache, the others in a pass of their own, which simulate.c adds. */
double square_sum(const float *values, size_t count)
{
    (void)values, (void)count;
    return 0;
}

void error_feedback_round(const float *data, float *error, uint16_t *out, size_t count, int threads)
{
    (void)data, (void)error, (void)out, (void)threads;
    sim_move(count * (3 * sizeof(float) + sizeof(uint16_t)));
}

void error_feedback_round_sums(const uint16_t *in, int ranks, float *error, uint16_t *out, size_t count, int threads)
{
    (void)in, (void)error, (void)out, (void)threads;
    sim_move(count * (2 * sizeof(float) + ((size_t)ranks + 1) * sizeof(uint16_t)));
}

void error_feedback_widen(const uint16_t *in, float *data, size_t count, int threads)
{
    (void)in, (void)data, (void)threads;
    sim_move(count * (sizeof(float) + sizeof(uint16_t)));
}

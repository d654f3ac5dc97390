/* What work in memory costs in simulated time. */
#ifndef VGG11_BENCH_SIM_COST_H
#define VGG11_BENCH_SIM_COST_H

#include <stddef.h>

/* Bandwidth of one rank while all ranks of its node are busy, bytes/s. Set by each rank before it opens an exchange. */
void sim_set_bandwidth(double bytes_per_s);

/* Simulated seconds. */
double sim_now(void);

/* Lets simulated time pass: a core of its own works, the network goes on. */
void sim_pass(double seconds);

/* Lets the simulated time pass that moving `bytes` takes. */
void sim_move(size_t bytes);

#endif

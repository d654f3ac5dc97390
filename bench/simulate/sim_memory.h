/* The memory of all simulated ranks. */
#ifndef VGG11_BENCH_SIM_MEMORY_H
#define VGG11_BENCH_SIM_MEMORY_H

#include <stddef.h>

#include "vgg11/comm/comm.h"

/* Collective. Opens the one block of `bytes` that every buffer of every rank will be; it lasts as long as the process. */
void sim_memory_open(comm *c, size_t bytes);

#endif

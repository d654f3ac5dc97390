/* Included before src/comm and src/exchange: where SMPI 3.32 differs from what MPI promises, and what a simulation need not do. */
#ifndef VGG11_BENCH_SIM_MPI_H
#define VGG11_BENCH_SIM_MPI_H

#include <mpi.h>

#undef MPI_CALL /* SMPI has one too */

/* SMPI leaves the thread level that it provides untouched. */
#undef MPI_Init_thread
#define MPI_Init_thread(argc, argv, required, provided) (*(provided) = (required), MPI_Init(argc, argv))

#endif

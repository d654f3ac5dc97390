/* Checked MPI calls for the files of this folder. */
#ifndef VGG11_COMM_MPI_IMPL_H
#define VGG11_COMM_MPI_IMPL_H

#include <mpi.h>
#include <stddef.h>

/* Largest element count of one MPI call: counts are of type int, and cutting longer messages at 1 GiB costs nothing. */
enum { MPI_CHUNK = 1 << 28 };

/* Calls an MPI function. Communicators return their errors. The job cannot go on after one, so that it ends at once, with a line
 * that names rank, host, call and MPI's reason. */
#define MPI_CALL(function, ...) mpi_check(function(__VA_ARGS__), #function)

void mpi_check(int code, const char *call);

/* For loops over more elements than fit an int: elements of the chunk that starts at `done` of `total`. */
static inline int mpi_chunk(size_t total, size_t done)
{
    size_t rest = total - done;
    return rest < MPI_CHUNK ? (int)rest : MPI_CHUNK;
}

#endif

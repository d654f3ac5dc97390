/* Checked MPI calls for the files of this folder. */
#ifndef VGG11_COMM_MPI_IMPL_H
#define VGG11_COMM_MPI_IMPL_H

#include <mpi.h>
#include <stddef.h>

/* Largest element count of one MPI call here: counts are int, and one message of 1 GiB is long enough to lose nothing. */
enum { MPI_CHUNK = 1 << 28 };

/* Calls an MPI function that has no business failing. Communicators return their errors; if one does come, the job cannot go
 * on, so it ends at once with a line naming rank, host, call and MPI's own reason. */
#define MPI_CALL(function, ...) mpi_check(function(__VA_ARGS__), #function)

void mpi_check(int code, const char *call);

/* For loops over more elements than fit an int: elements of the chunk that starts at `done` of `total`. */
static inline int mpi_chunk(size_t total, size_t done)
{
    size_t rest = total - done;
    return rest < MPI_CHUNK ? (int)rest : MPI_CHUNK;
}

#endif

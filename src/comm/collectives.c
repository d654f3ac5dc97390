/* Small collective operations of comm.h. */
#include "comm/comm_impl.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

bool comm_any(comm *c, bool mine)
{
    int any = mine;
    MPI_CALL(MPI_Allreduce, MPI_IN_PLACE, &any, 1, MPI_INT, MPI_LOR, c->world);
    return any != 0;
}

double comm_max(comm *c, double mine)
{
    MPI_CALL(MPI_Allreduce, MPI_IN_PLACE, &mine, 1, MPI_DOUBLE, MPI_MAX, c->world);
    return mine;
}

bool comm_same(comm *c, uint64_t mine)
{
    uint64_t most[2] = {mine, ~mine};
    comm_max_u64(c, most, 2);
    return most[0] == ~most[1];
}

static void allreduce_u64(MPI_Comm ranks, MPI_Op op, uint64_t *values, size_t count)
{
    for (size_t done = 0; done < count;) {
        int chunk = mpi_chunk(count, done);
        MPI_CALL(MPI_Allreduce, MPI_IN_PLACE, values + done, chunk, MPI_UINT64_T, op, ranks);
        done += (size_t)chunk;
    }
}

void comm_max_u64(comm *c, uint64_t *values, size_t count) { allreduce_u64(c->world, MPI_MAX, values, count); }
void comm_sum_u64(comm *c, uint64_t *values, size_t count) { allreduce_u64(c->world, MPI_SUM, values, count); }
void comm_node_sum_u64(comm *c, uint64_t *values, size_t count) { allreduce_u64(c->node, MPI_SUM, values, count); }

void comm_sum_in_rank_order(comm *c, double *values, size_t count)
{
    for (size_t done = 0; done < count; done += COMM_SUM_BATCH) {
        size_t batch = count - done < COMM_SUM_BATCH ? count - done : COMM_SUM_BATCH;
        comm_gather_all(c, values + done, batch * sizeof *values, c->gathered);
        for (size_t i = 0; i < batch; i++) {
            double sum = c->gathered[i];
            for (int rank = 1; rank < c->size; rank++) sum += c->gathered[(size_t)rank * batch + i];
            values[done + i] = sum;
        }
    }
}

static void broadcast(MPI_Comm ranks, void *data, size_t bytes, int root)
{
    for (size_t done = 0; done < bytes;) {
        int chunk = mpi_chunk(bytes, done);
        MPI_CALL(MPI_Bcast, (char *)data + done, chunk, MPI_BYTE, root, ranks);
        done += (size_t)chunk;
    }
}

void comm_broadcast(comm *c, void *data, size_t bytes, int root) { broadcast(c->world, data, bytes, root); }

static void gather_all(MPI_Comm ranks, const void *mine, size_t bytes, void *all)
{
    int rank, size;
    MPI_CALL(MPI_Comm_rank, ranks, &rank);
    MPI_CALL(MPI_Comm_size, ranks, &size);
    if (bytes <= INT_MAX) {
        MPI_CALL(MPI_Allgather, mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, ranks);
        return;
    }
    memcpy((char *)all + (size_t)rank * bytes, mine, bytes);
    for (int root = 0; root < size; root++) broadcast(ranks, (char *)all + (size_t)root * bytes, bytes, root);
}

void comm_gather_all(comm *c, const void *mine, size_t bytes, void *all) { gather_all(c->world, mine, bytes, all); }
void comm_node_gather_all(comm *c, const void *mine, size_t bytes, void *all) { gather_all(c->node, mine, bytes, all); }

void comm_send_to_first(comm *c, int from, const void *mine, void *received, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        int chunk = mpi_chunk(bytes, done);
        if (c->rank == 0) MPI_CALL(MPI_Recv, (char *)received + done, chunk, MPI_BYTE, from, COMM_TAG, c->world, MPI_STATUS_IGNORE);
        if (c->rank == from) MPI_CALL(MPI_Send, (const char *)mine + done, chunk, MPI_BYTE, 0, COMM_TAG, c->world);
        done += (size_t)chunk;
    }
}

void comm_barrier(comm *c) { MPI_CALL(MPI_Barrier, c->world); }
void comm_node_barrier(comm *c) { MPI_CALL(MPI_Barrier, c->node); }

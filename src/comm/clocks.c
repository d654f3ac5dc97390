/* The ranks' clocks side by side. */
#include "comm/comm_impl.h"
#include "vgg11/base/clock.h"

enum { ROUNDS = 16 };

static void answer(comm *c, int rank)
{
    for (int i = 0; i < ROUNDS; i++) {
        MPI_CALL(MPI_Recv, NULL, 0, MPI_BYTE, rank, COMM_TAG, c->world, MPI_STATUS_IGNORE);
        double now = clock_now_s();
        MPI_CALL(MPI_Send, &now, 1, MPI_DOUBLE, rank, COMM_TAG, c->world);
    }
}

/* One round: its answer was read halfway between start and end, or at most half of that earlier or later. */
static comm_clock ask(comm *c)
{
    double first, start = clock_now_s();
    MPI_CALL(MPI_Send, NULL, 0, MPI_BYTE, 0, COMM_TAG, c->world);
    MPI_CALL(MPI_Recv, &first, 1, MPI_DOUBLE, 0, COMM_TAG, c->world, MPI_STATUS_IGNORE);
    double end = clock_now_s(), middle = start + (end - start) / 2;
    return (comm_clock){.at_s = middle, .offset_s = first - middle, .round_trip_s = end - start};
}

comm_clock comm_compare_clocks(comm *c)
{
    comm_clock best = {.at_s = clock_now_s()};
    if (c->node_index > 0) best = ask(c);
    for (int i = 1; c->node_index > 0 && i < ROUNDS; i++) {
        comm_clock next = ask(c);
        if (next.round_trip_s < best.round_trip_s) best = next;
    }
    for (int rank = 1; c->rank == 0 && rank < c->size; rank++)
        if (c->node_of[rank] > 0) answer(c, rank);
    return best;
}

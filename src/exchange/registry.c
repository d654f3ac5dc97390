/* The table of all exchange strategies. */
#include "exchange/exchange_impl.h"

const exchange_row exchange_rows[] = {
    {"node", "shared memory in a node: each rank adds a shard; one set of weights; between nodes while backward goes on",
     &exchange_node, true},
    {"overlap", "no shared memory: buckets of the gradient are summed over all ranks while backward goes on", &exchange_overlap,
     false},
    {"allreduce", "reference: MPI_Allreduce after backward; each rank keeps and updates everything", &exchange_allreduce, false},
};

enum { ROWS = sizeof exchange_rows / sizeof exchange_rows[0] };
const size_t exchange_row_count = ROWS;
_Static_assert((int)ROWS <= (int)EXCHANGE_ROWS_MAX, "raise EXCHANGE_ROWS_MAX");

size_t exchange_entries(const exchange_entry **entries)
{
    static exchange_entry public[ROWS];
    for (size_t i = 0; i < ROWS; i++) public[i] = (exchange_entry){exchange_rows[i].name, exchange_rows[i].good_when};
    *entries = public;
    return ROWS;
}

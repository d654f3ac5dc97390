/* The reference: one all-reduce of the whole gradient when backward has ended. */
#include "dist/exchange_impl.h"
#include "dist/rank_sum.h"

/* Where MPI cannot do it, 4 MiB at a time keep what comes in within the cache until it is added. */
enum { PIECE_FLOATS = 1 << 20 };

/* MPI promises no order of the sum, and knows no bf16. */
static bool mpi_can(const exchange *ex) { return ex->config.slices == 0 && !exchange_wire_is_narrow(ex); }

static vgg_status open_sum(exchange *ex)
{
    size_t count = ex->config.count, piece = rank_sum_piece(ex->c->size, PIECE_FLOATS);
    rank_sum_plan plan = {ex->c->world, count, count < piece ? count : piece};
    rank_sum *sum = NULL;
    vgg_status status = rank_sum_open(ex, &plan, &sum);
    ex->state = sum;
    ex->cost.bytes_sent = rank_sum_bytes_sent(sum);
    ex->cost.memory_rank_bytes += rank_sum_memory_bytes(sum);
    return comm_agree(ex->c, status);
}

static vgg_status allreduce_open(exchange *ex)
{
    VGG_TRY(local_buffers_open(ex));
    return mpi_can(ex) ? VGG_OK : open_sum(ex);
}

static void allreduce_close(exchange *ex)
{
    rank_sum_close(ex->state);
    local_buffers_close(ex);
}

static void sum_by_mpi(exchange *ex)
{
    size_t count = ex->c->size > 1 ? ex->config.count : 0;
    for (size_t done = 0; done < count;) {
        int chunk = mpi_chunk(count, done);
        MPI_CALL(MPI_Allreduce, MPI_IN_PLACE, ex->gradient + done, chunk, MPI_FLOAT, MPI_SUM, ex->c->world);
        done += (size_t)chunk;
    }
}

static void allreduce_finish(exchange *ex)
{
    if (ex->state)
        rank_sum_run(ex->state, ex->gradient);
    else
        sum_by_mpi(ex);
}

const exchange_functions exchange_allreduce = {
    .open = allreduce_open,
    .close = allreduce_close,
    .finish = allreduce_finish,
    .square_sums = local_buffers_square_sums,
    .distribute = local_buffers_distribute,
};

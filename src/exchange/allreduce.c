/* The reference: one all-reduce of the whole gradient after the backward pass. */
#include "exchange/exchange_impl.h"
#include "exchange/allreduce_queue.h"
#include "vgg11/base/integers.h"

/* Buckets of 4 MiB, where MPI_Allreduce cannot be used: what is received stays in the cache until it is added. */
enum { BUCKET_FLOATS = 1 << 20 };

/* MPI_Allreduce promises no order of the sum, and has no bf16. */
static bool mpi_can(const exchange *ex) { return ex->config.micro_batches == 0 && !exchange_wire_is_bf16(ex); }

static vgg_status open_sum(exchange *ex)
{
    size_t count = ex->config.count, bucket = allreduce_queue_bucket(ex->c->size, BUCKET_FLOATS);
    allreduce_queue_plan plan = {ex->c->world, count, size_min(count, bucket)};
    allreduce_queue *sum = NULL;
    vgg_status status = allreduce_queue_open(ex, &plan, &sum);
    ex->state = sum;
    ex->cost.bytes_sent = allreduce_queue_bytes_sent(sum);
    ex->cost.memory_rank_bytes += allreduce_queue_memory_bytes(sum);
    return comm_agree(ex->c, status);
}

static vgg_status allreduce_open(exchange *ex)
{
    VGG_TRY(replicated_buffers_open(ex));
    return mpi_can(ex) ? VGG_OK : open_sum(ex);
}

static void allreduce_close(exchange *ex)
{
    allreduce_queue_close(ex->state);
    replicated_buffers_close(ex);
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
        allreduce_queue_run(ex->state, ex->gradient);
    else
        sum_by_mpi(ex);
}

const exchange_functions exchange_allreduce = {
    .open = allreduce_open,
    .close = allreduce_close,
    .finish = allreduce_finish,
    .square_sums = replicated_buffers_square_sums,
    .distribute = replicated_buffers_distribute,
};

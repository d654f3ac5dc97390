/* The reference: one all-reduce of the whole gradient when backward has ended. */
#include "dist/exchange_impl.h"
#include "dist/rank_sum.h"

static vgg_status allreduce_open(exchange *ex)
{
    VGG_TRY(local_buffers_open(ex));
    rank_sum *sum = NULL;
    vgg_status status = rank_sum_open(ex, ex->c->world, ex->config.count, &sum);
    ex->state = sum;
    ex->cost.bytes_sent = rank_sum_bytes_sent(sum);
    ex->cost.memory_rank_bytes += rank_sum_memory_bytes(sum);
    return comm_agree(ex->c, status);
}

static void allreduce_close(exchange *ex)
{
    rank_sum_close(ex->state);
    local_buffers_close(ex);
}

static void allreduce_finish(exchange *ex) { rank_sum_run(ex->state, ex->gradient, 0, ex->config.count); }

const exchange_functions exchange_allreduce = {
    .open = allreduce_open,
    .close = allreduce_close,
    .finish = allreduce_finish,
    .square_sums = local_buffers_square_sums,
    .distribute = local_buffers_distribute,
};

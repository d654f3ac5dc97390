/* The functions of an open exchange: each call goes on to the strategy, and its time is counted. */
#include "exchange/exchange_impl.h"

#include "vgg11/base/clock.h"

const char *exchange_name(const exchange *ex) { return ex->row->name; }
const char *exchange_reason(const exchange *ex) { return ex->reason; }
float *exchange_gradient(exchange *ex) { return ex->gradient; }
float *exchange_weights(exchange *ex) { return ex->weights; }
float *exchange_velocity(exchange *ex) { return ex->velocity; }
void *exchange_node_scratch(exchange *ex) { return ex->node_scratch ? comm_shared_memory(ex->node_scratch) : NULL; }
vgg_range exchange_owned(const exchange *ex) { return ex->owned; }
exchange_costs exchange_cost(const exchange *ex) { return ex->cost; }
double exchange_exposed_s(const exchange *ex) { return ex->exposed_s; }

void exchange_trace(exchange *ex, span_log *log) { ex->spans = log; }

void exchange_begin(exchange *ex)
{
    ex->exposed_s = 0;
    if (ex->row->functions->begin) ex->row->functions->begin(ex);
}

void exchange_range_final(exchange *ex, size_t first, size_t count)
{
    if (!ex->row->functions->range_final || count == 0) return;
    double start = clock_now_s();
    ex->row->functions->range_final(ex, first, count);
    ex->exposed_s += clock_now_s() - start;
    span_end_if_long(ex->spans, start, "exchange: next range", EXCHANGE_TOLD_S);
}

void exchange_poll(exchange *ex)
{
    if (!ex->row->functions->poll) return;
    double start = clock_now_s();
    ex->row->functions->poll(ex);
    ex->exposed_s += clock_now_s() - start;
    span_end_if_long(ex->spans, start, "exchange: poll", EXCHANGE_TOLD_S);
}

void exchange_finish(exchange *ex)
{
    double start = clock_now_s();
    ex->row->functions->finish(ex);
    ex->exposed_s += clock_now_s() - start;
}

void exchange_square_sums(exchange *ex, double *sums)
{
    const double *block_sums = ex->row->functions->square_sums(ex);
    blocks_add_segments(&ex->blocks, block_sums, sums, ex->config.segment_count);
}

void exchange_publish(exchange *ex)
{
    ex->known = false;
    if (ex->row->functions->publish) ex->row->functions->publish(ex);
}

void exchange_distribute(exchange *ex, float *buffer)
{
    ex->known = false;
    ex->row->functions->distribute(ex, buffer);
}

void exchange_collect(exchange *ex, float *buffer)
{
    if (ex->row->functions->collect) ex->row->functions->collect(ex, buffer);
}

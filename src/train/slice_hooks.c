#include "vgg11/train/slice_hooks.h"

static void on_range_final(void *context, size_t first, size_t count)
{
    const exchanged_slice *slice = context;
    exchange_micro_batch_range_final(slice->ex, slice->index, first, count);
}

static void on_poll(void *context) { exchange_poll(((const exchanged_slice *)context)->ex); }

network_hooks slice_hooks(exchanged_slice *slice) { return (network_hooks){slice, on_range_final, on_poll}; }

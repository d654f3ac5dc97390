/* Where the backward walk and the exchange meet: what the walk says of a slice's gradient goes to the exchange. */
#ifndef VGG11_TRAIN_SLICE_HOOKS_H
#define VGG11_TRAIN_SLICE_HOOKS_H

#include "vgg11/exchange/exchange.h"
#include "vgg11/nn/network.h"

typedef struct {
    exchange *ex;
    int index; /* of the slice, among this rank's */
} exchanged_slice;

/* For network_backward() into exchange_micro_batch_gradient(slice->ex, slice->index). `slice` must outlive the walk. */
network_hooks slice_hooks(exchanged_slice *slice);

#endif

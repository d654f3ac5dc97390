/* Private to app: the network of a checkpoint, and what the checkpoint says of the data it was trained on. */
#ifndef VGG11_APP_TRAINED_NETWORK_H
#define VGG11_APP_TRAINED_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "app/options/options.h"
#include "vgg11/base/precision.h"
#include "vgg11/base/status.h"
#include "vgg11/checkpoint/checkpoint.h"

enum { RESIZE_NAME_BYTES = 32 };

typedef struct {
    uint64_t step;
    double mean;
    double deviation;
    char resize[RESIZE_NAME_BYTES]; /* "" if it does not say, or names what this program does not have */
    bool resize_bug;
    int precision; /* a vgg_precision; -1 if it does not say */
} training_facts;

/* What the state of a checkpoint says; `path` is for messages. VGG_BAD_CHECKPOINT if its numbers cannot normalise pixels. */
vgg_status trained_network_facts(const char *path, const checkpoint_state *state, training_facts *facts);

/* weights[model_flat_count()] and facts of a checkpoint, or of a file of weights alone. VGG_BAD_CHECKPOINT if it is none, or its numbers
 * cannot normalise pixels. Not collective. */
vgg_status trained_network_load(const char *path, float *weights, training_facts *facts);

/* The filter that images are to be resized with: that of the training, unless the user names one. */
const char *trained_network_resize(const options *o, const training_facts *facts);

/* That of the products, likewise. */
vgg_precision trained_network_precision(const options *o, const training_facts *facts);

#endif

/* What PyTorch made of this network in double precision, from tests/fixtures/torch_replay.txt; and the weights, images and
 * labels that it was given, which both sides compute from an integer hash. torch_replay.py beside the file made it. */
#ifndef VGG11_TESTS_REPLAY_H
#define VGG11_TESTS_REPLAY_H

#include <stdint.h>

#include "vgg11/nn/model.h"

enum { REPLAY_BATCH = 4, REPLAY_STEPS = 3, REPLAY_SAMPLES = 200 };

/* One tensor in our layout: its sum, its L2 norm, and its values at replay_sample_index(). */
typedef struct {
    double sum;
    double norm;
    double samples[REPLAY_SAMPLES];
} replay_tensor;

typedef struct {
    float input[REPLAY_BATCH * MODEL_SIDE * MODEL_SIDE];
    uint8_t labels[REPLAY_BATCH];
    double logits[REPLAY_BATCH * MODEL_CLASSES];
    double learning_rate, momentum, clip_norm;
    double loss[REPLAY_STEPS];             /* mean over the batch, before each step */
    double gradient_norm[REPLAY_STEPS];    /* before clipping */
    replay_tensor gradient[MODEL_TENSORS]; /* of the mean loss, at the first weights */
    replay_tensor change[MODEL_TENSORS];   /* of the weights, over all steps */
} replay;

/* Reads the file; fails the test if it is not whole. Owned by the caller: free(). */
replay *replay_open(void);

/* The first weights, into model_flat_count() floats; padding is zero. */
void replay_fill_weights(float *weights);

/* Fails the test unless each tensor of the flat buffer agrees with `expected[MODEL_TENSORS]`: norm and samples within
 * `tolerance` of the norm's or the largest sample's size, the sum within that of norm * sqrt(count). */
void replay_assert_close(const float *flat, const replay_tensor *expected, double tolerance, const char *what);

/* For tensors whose single numbers mean little. Fails the test unless each tensor's norm and the root mean square of its samples'
 * errors are within `tolerance` of the norm's and the samples' size, and the sum within that of norm * sqrt(count). */
void replay_assert_near(const float *flat, const replay_tensor *expected, double tolerance, const char *what);

#endif

/* The training step of the design written down once more, on one processor, whole batches at a time, without the trainer,
 * the exchange or the optimizer: what any number of ranks must come to. */
#ifndef VGG11_TESTS_TRAIN_SERIAL_RUN_H
#define VGG11_TESTS_TRAIN_SERIAL_RUN_H

#include "vgg11/train/trainer.h"

/* Of one step. */
typedef struct {
    double loss;
    double accuracy;
    double grad_norm;
} serial_step;

/* Takes config->max_steps steps from config's initial weights: steps[max_steps], and the weights and velocity after the last,
 * model_flat_count() floats each. Understands global clipping, constant rates and whole-batch configurations only.
 * `start` takes the initial weights. Not collective; ends the job where memory or data are missing. */
void serial_run(const train_config *config, serial_step *steps, float *start, float *weights, float *velocity);

#endif

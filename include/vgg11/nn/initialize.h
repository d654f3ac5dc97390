/* Initial weights. */
#ifndef VGG11_NN_INITIALIZE_H
#define VGG11_NN_INITIALIZE_H

#include <stdint.h>

typedef struct {
    const char *name;
    const char *good_when;
    void (*fill)(uint64_t seed, float *weights);
} initializer;

/* Ended by a row whose name is NULL. he: kernels ~ N(0, 2/fan_in) (He et al., arXiv:1502.01852); glorot: kernels uniform in
 * +-sqrt(6/(fan_in+fan_out)) (Glorot & Bengio 2010, Keras' default). Biases and padding are zero. `weights` is the flat
 * buffer of model_flat_count() floats. The same bits on every rank for the same seed. */
extern const initializer initializers[];
const initializer *initializer_find(const char *name);

#endif

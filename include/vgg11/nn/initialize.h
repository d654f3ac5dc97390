/* Initial weights. */
#ifndef VGG11_NN_INITIALIZE_H
#define VGG11_NN_INITIALIZE_H

#include <stdint.h>

/* Of looks-linear-small: the scale of the weights of all layers but the first and the last, and by how much the features that the last
 * one sees are larger than looks-linear has them. */
#define INITIALIZER_SMALL 0.35
#define INITIALIZER_FEATURES 80.0

typedef struct {
    const char *name;
    const char *good_when;
    /* Fills the flat buffer of model_flat_count() floats: the same bits on every rank for the same seed. */
    void (*fill)(uint64_t seed, float *weights);
} initializer;

/* Ended by a row whose name is NULL. he: kernels normal with variance 2 / fan_in (He et al., arXiv:1502.01852); he-zero-last: the
 * same, and the last layer's kernel zero (Zhang et al., "Fixup initialization", arXiv:1901.09321); looks-linear: the same variance,
 * mirrored between the two halves of each layer's units so that pairs of ReLUs cancel (Balduzzi et al., "The shattered gradients
 * problem", arXiv:1702.08591, section 4); looks-linear-small: the same from the second layer on with INITIALIZER_SMALL times the
 * weights, for which the first layer's make up, and zeros in the last layer (that the scale of weights stands for a rate: Yang & Hu,
 * "Feature learning in infinite-width neural networks", arXiv:2011.14522, section 3); glorot: kernels uniform in
 * +-sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010, Keras' default). Biases and padding are zero. */
extern const initializer initializers[];

/* The row of that name; NULL if there is none. */
const initializer *initializer_find(const char *name);

#endif

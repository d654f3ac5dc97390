/* VGG11 (Simonyan & Zisserman, arXiv:1409.1556, Table 1, configuration A) for 32x32x1 input with a further 10-way layer:
 * the constant table of its layers, and where each tensor lies in the flat parameter buffer. */
#ifndef VGG11_NN_MODEL_H
#define VGG11_NN_MODEL_H

#include <stdbool.h>
#include <stddef.h>

enum { MODEL_LAYERS = 12, MODEL_CONVS = 8, MODEL_TENSORS = 24, MODEL_CLASSES = 10, MODEL_SIDE = 32 };
enum { MODEL_PARAMETERS = 32208898 };

typedef enum { LAYER_CONV, LAYER_DENSE } layer_kind;

/* One weight layer: a 3x3 convolution (stride 1, one pixel of zero padding) or a dense layer. */
typedef struct {
    const char *name; /* "conv1" .. "conv8", "fc1" .. "fc4" */
    layer_kind kind;
    int side; /* height and width of the convolution's input and output; 1 for dense */
    int in;   /* channels or features */
    int out;
    bool relu; /* after the bias */
    bool pool; /* 2x2 maximum, stride 2, after the ReLU */
} layer_row;

extern const layer_row model_layers[MODEL_LAYERS];

/* Floating-point operations of one pass of a layer, forward or of either gradient, for one image: two for each product of the direct
 * convolution whose input lies inside the map. Products with the padding, bias and ReLU do not count. */
double model_layer_flops(int layer);

/* A view into the flat buffer. Tensor 2*i is the kernel of layer i, (3,3,in,out) or (in,out); tensor 2*i+1 is its bias, (out). */
typedef struct {
    char name[16]; /* "conv1.kernel" */
    size_t offset; /* in floats, a multiple of 16 */
    size_t count;  /* floats */
    int rank;
    size_t shape[4];
    int fan_in;
    int fan_out;
    bool kernel;
} tensor_view;

/* The table of all tensors in the order of the flat buffer: conv1.kernel, conv1.bias, ... fc4.bias. Static; never freed. */
const tensor_view *model_tensors(void);

/* Floats in the flat buffer, including the padding between tensors, which is always zero. A multiple of 16. */
size_t model_flat_count(void);

#endif

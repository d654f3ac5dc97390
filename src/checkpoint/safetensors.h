/* The layout of a checkpoint as a safetensors file: 8-byte little-endian header length, JSON header, raw tensors.
 * The order of tensors, their shapes and offsets are the program's own; a file either agrees with them or is refused. */
#ifndef VGG11_CHECKPOINT_SAFETENSORS_H
#define VGG11_CHECKPOINT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/status.h"
#include "vgg11/nn/model.h"
#include "vgg11/checkpoint/checkpoint.h"

enum { SAFETENSORS_TENSORS = 2 * MODEL_TENSORS, SAFETENSORS_LENGTH_BYTES = 8, SAFETENSORS_HEADER_MAX = 1 << 20 };

/* A tensor of the file: the weights come in the order of the flat buffer, then velocity.<name> in the same order. */
typedef struct {
    char name[32];
    const tensor_view *view;
    size_t data_offset; /* bytes from the end of the header */
    size_t data_bytes;
} safetensors_entry;

safetensors_entry safetensors_tensor(int index);
size_t safetensors_data_bytes(void);

/* The header for `state` and the tensors' checksums, padded with spaces to a multiple of 8 bytes. The caller frees. */
vgg_status safetensors_compose(const checkpoint_state *state, const uint32_t crc[SAFETENSORS_TENSORS], char **header,
                               size_t *header_bytes);

/* Checks header[header_bytes] against the program's table and takes what it says. `path` is for messages. The caller clears
 * state, also on failure. */
vgg_status safetensors_parse(const char *path, const char *header, size_t header_bytes, checkpoint_state *state,
                             uint32_t crc[SAFETENSORS_TENSORS]);

#endif

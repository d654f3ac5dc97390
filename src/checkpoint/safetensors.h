/* The layout of a checkpoint as a safetensors file: 8-byte little-endian header length, JSON header, raw tensors.
 * The order of tensors, their shapes and offsets are the program's own; a file either agrees with them or is refused. */
#ifndef VGG11_CHECKPOINT_SAFETENSORS_H
#define VGG11_CHECKPOINT_SAFETENSORS_H

#include <jansson.h>
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
size_t safetensors_data_bytes(void); /* of all tensors */

/* Tensors of a file with this state, and their bytes: all, or the weights alone. */
int safetensors_tensors_of(const checkpoint_state *state);
size_t safetensors_bytes_of(const checkpoint_state *state);

/* The header for `state` and the tensors' checksums, padded with spaces to a multiple of 8 bytes. The caller frees. */
vgg_status safetensors_compose(const checkpoint_state *state, const uint32_t crc[SAFETENSORS_TENSORS], char **header,
                               size_t *header_bytes);

/* Checks header[header_bytes] against the program's table and takes what it says. `path` is for messages. The caller clears
 * state, also on failure. */
vgg_status safetensors_parse(const char *path, const char *header, size_t header_bytes, checkpoint_state *state,
                             uint32_t crc[SAFETENSORS_TENSORS]);

/* For any safetensors file of float32. A tensor's entry in the header, NULL without memory; whether `name` is in the header `root`, of
 * float32 and with that shape, VGG_BAD_CHECKPOINT if not; and the padded header that `text` becomes, which is freed. */
json_t *safetensors_describe(int rank, const size_t *shape, size_t offset, size_t bytes);
vgg_status safetensors_check(const char *path, json_t *root, const char *name, int rank, const size_t *shape);
vgg_status safetensors_pad(char *text, char **header, size_t *header_bytes);
void safetensors_write_length(size_t header_bytes, unsigned char length[SAFETENSORS_LENGTH_BYTES]);

/* Bytes of a header as JSON, for json_decref(). */
vgg_status safetensors_load_json(const char *path, const char *header, size_t header_bytes, json_t **root);

/* A checksum in __metadata__, "crc32c.<name>": true if it is there, and well-formed. */
bool safetensors_checksum_of(json_t *metadata, const char *name, uint32_t *crc);
bool safetensors_put_checksum(json_t *metadata, const char *name, uint32_t crc); /* false without memory */

#endif

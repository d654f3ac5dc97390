/* Reading a checkpoint: nothing of it is used before all of it has been checked. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint/file.h"
#include "checkpoint/safetensors.h"
#include "vgg11/base/file.h"
#include "vgg11/base/finite.h"
#include "vgg11/base/hash.h"
#include "vgg11/checkpoint/checkpoint.h"

enum { PIECE_BYTES = 1 << 20 };

void checkpoint_state_clear(checkpoint_state *state)
{
    free(state->config_json);
    free(state->data_fingerprint);
    free(state->data_digest);
    free(state->tuning_fingerprint);
    free(state->exchange);
    free(state->algorithms);
    memset(state, 0, sizeof *state);
}

vgg_status checkpoint_read_at(int file, const char *path, size_t offset, void *data, size_t bytes)
{
    char *out = data;
    while (bytes > 0) {
        ssize_t got = pread(file, out, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return vgg_fail_errno(VGG_IO_ERROR, "%s: cannot be read", path);
        if (got == 0) return vgg_fail(VGG_BAD_CHECKPOINT, "%s: ends too early", path);
        out += got;
        offset += (size_t)got;
        bytes -= (size_t)got;
    }
    return VGG_OK;
}

vgg_status checkpoint_open(const char *path, int *file, size_t *file_bytes)
{
    struct stat facts;
    if (file_open_to_read(path, file) != VGG_OK) return vgg_fail(VGG_BAD_CHECKPOINT, "%s", vgg_message());
    *file_bytes = fstat(*file, &facts) == 0 ? (size_t)facts.st_size : 0;
    return VGG_OK;
}

static vgg_status header_length(int file, const char *path, size_t file_bytes, size_t *header_bytes)
{
    unsigned char raw[SAFETENSORS_LENGTH_BYTES];
    uint64_t length = 0;
    if (file_bytes < sizeof raw)
        return vgg_fail(VGG_BAD_CHECKPOINT, "%s: has %zu bytes; too short for a checkpoint", path, file_bytes);
    VGG_TRY(checkpoint_read_at(file, path, 0, raw, sizeof raw));
    for (int i = SAFETENSORS_LENGTH_BYTES - 1; i >= 0; i--) length = length << 8 | raw[i];
    if (length > SAFETENSORS_HEADER_MAX)
        return vgg_fail(VGG_BAD_CHECKPOINT, "%s: not a checkpoint of vgg11_dist (its header would be over %d bytes)", path,
                        SAFETENSORS_HEADER_MAX);
    if (length > file_bytes - sizeof raw) return vgg_fail(VGG_BAD_CHECKPOINT, "%s: ends too early", path);
    *header_bytes = (size_t)length;
    return VGG_OK;
}

vgg_status checkpoint_read_header(int file, const char *path, size_t file_bytes, char **header, size_t *header_bytes)
{
    VGG_TRY(header_length(file, path, file_bytes, header_bytes));
    *header = malloc(*header_bytes + 1);
    if (!*header) return vgg_fail(VGG_UNAVAILABLE, "no memory for a checkpoint header of %zu bytes", *header_bytes);
    vgg_status status = checkpoint_read_at(file, path, SAFETENSORS_LENGTH_BYTES, *header, *header_bytes);
    if (status != VGG_OK) free(*header);
    return status;
}

vgg_status checkpoint_read_json(int file, const char *path, size_t file_bytes, json_t **root, size_t *data_start)
{
    char *header;
    size_t header_bytes;
    VGG_TRY(checkpoint_read_header(file, path, file_bytes, &header, &header_bytes));
    vgg_status status = safetensors_load_json(path, header, header_bytes, root);
    free(header);
    *data_start = SAFETENSORS_LENGTH_BYTES + header_bytes;
    return status;
}

static vgg_status check_size(const char *path, size_t file_bytes, size_t data_start, const checkpoint_state *state)
{
    size_t expected = data_start + safetensors_bytes_of(state);
    if (file_bytes == expected) return VGG_OK;
    return vgg_fail(VGG_BAD_CHECKPOINT, "%s: has %zu bytes where a VGG11 checkpoint with this header has %zu", path, file_bytes,
                    expected);
}

static vgg_status read_header(int file, const char *path, size_t file_bytes, checkpoint_state *state,
                              uint32_t crc[SAFETENSORS_TENSORS], size_t *data_start)
{
    char *header;
    size_t header_bytes;
    VGG_TRY(checkpoint_read_header(file, path, file_bytes, &header, &header_bytes));
    vgg_status status = safetensors_parse(path, header, header_bytes, state, crc);
    free(header);
    *data_start = SAFETENSORS_LENGTH_BYTES + header_bytes;
    return status == VGG_OK ? check_size(path, file_bytes, *data_start, state) : status;
}

/* The tensor's bytes go to `target`, or, if that is NULL, only through the checksum. */
static vgg_status read_tensor(int file, const char *path, size_t data_start, const safetensors_entry *entry, uint32_t expected,
                              float *target, char *piece)
{
    uint32_t crc = 0;
    bool finite = true;
    for (size_t done = 0; done < entry->data_bytes; done += PIECE_BYTES) {
        size_t left = entry->data_bytes - done, bytes = left < PIECE_BYTES ? left : PIECE_BYTES;
        char *to = target ? (char *)target + done : piece;
        VGG_TRY(checkpoint_read_at(file, path, data_start + entry->data_offset + done, to, bytes));
        crc = hash_crc32c(crc, to, bytes);
        finite = finite && finite_floats((const float *)(const void *)to, bytes / sizeof(float));
    }
    if (crc != expected)
        return vgg_fail(VGG_BAD_CHECKPOINT, "%s: %s does not match its checksum; the file is damaged", path, entry->name);
    if (finite) return VGG_OK;
    return vgg_fail(VGG_BAD_CHECKPOINT, "%s: %s holds numbers that are not finite; take an older checkpoint", path, entry->name);
}

static vgg_status read_tensors(int file, const char *path, size_t data_start, int tensors, const uint32_t crc[SAFETENSORS_TENSORS],
                               float *weights, float *velocity)
{
    char *piece = malloc(PIECE_BYTES);
    vgg_status status = piece ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "no memory to read %s", path);
    for (int i = 0; i < tensors && status == VGG_OK; i++) {
        safetensors_entry entry = safetensors_tensor(i);
        float *flat = i < MODEL_TENSORS ? weights : velocity;
        status = read_tensor(file, path, data_start, &entry, crc[i], flat ? flat + entry.view->offset : NULL, piece);
    }
    free(piece);
    return status;
}

static void clear_flat(float *flat)
{
    if (flat) memset(flat, 0, model_flat_count() * sizeof *flat);
}

/* What of a file is wanted, besides its header. */
typedef enum { NOT_THE_TENSORS, ALL_TENSORS, WEIGHTS_WILL_DO } wanted_tensors;

static vgg_status refuse_weights(const char *path, const checkpoint_state *state, wanted_tensors wanted)
{
    if (!state->weights_only || wanted == WEIGHTS_WILL_DO) return VGG_OK;
    return vgg_fail(VGG_BAD_CHECKPOINT, "%s: holds weights alone, which a run can begin with (--init-from), but not go on from",
                    path);
}

static vgg_status read_checkpoint(const char *path, checkpoint_state *state, wanted_tensors wanted, float *weights, float *velocity)
{
    int file = -1;
    size_t file_bytes = 0, data_start = 0;
    uint32_t crc[SAFETENSORS_TENSORS];
    memset(state, 0, sizeof *state);
    VGG_TRY(checkpoint_open(path, &file, &file_bytes));
    vgg_status status = read_header(file, path, file_bytes, state, crc, &data_start);
    if (status == VGG_OK) status = refuse_weights(path, state, wanted);
    if (status == VGG_OK && wanted != NOT_THE_TENSORS) {
        clear_flat(weights);
        clear_flat(velocity);
        status = read_tensors(file, path, data_start, safetensors_tensors_of(state), crc, weights, velocity);
    }
    close(file);
    if (status != VGG_OK) checkpoint_state_clear(state);
    return status;
}

vgg_status checkpoint_load(const char *path, checkpoint_state *state, float *weights, float *velocity)
{
    return read_checkpoint(path, state, ALL_TENSORS, weights, velocity);
}

vgg_status checkpoint_load_weights(const char *path, checkpoint_state *state, float *weights)
{
    return read_checkpoint(path, state, WEIGHTS_WILL_DO, weights, NULL);
}

vgg_status checkpoint_read_state(const char *path, checkpoint_state *state)
{
    return read_checkpoint(path, state, NOT_THE_TENSORS, NULL, NULL);
}

vgg_status checkpoint_verify(const char *path, bool weights_will_do)
{
    checkpoint_state state;
    vgg_status status = read_checkpoint(path, &state, weights_will_do ? WEIGHTS_WILL_DO : ALL_TENSORS, NULL, NULL);
    checkpoint_state_clear(&state);
    return status;
}

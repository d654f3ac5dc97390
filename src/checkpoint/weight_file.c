/* The formats of weight files, and which of them a file has. */
#include "vgg11/checkpoint/weight_file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/safetensors.h"
#include "checkpoint/weight_file_impl.h"
#include "vgg11/base/finite.h"
#include "vgg11/base/hash.h"
#include "vgg11/base/memory.h"
#include "vgg11/base/table.h"

static vgg_status own_write(const char *path, const checkpoint_state *state, const float *weights)
{
    return checkpoint_save(path, state, weights, NULL, NULL);
}

static vgg_status own_read(const char *path, float *weights)
{
    checkpoint_state state;
    vgg_status status = checkpoint_load_weights(path, &state, weights);
    checkpoint_state_clear(&state);
    return status;
}

enum { OWN, PYTORCH, KERAS };

const weight_format weight_formats[] = {
    [OWN] = {"weights", "this program reads it: eval, predict and --init-from, from half the bytes of a checkpoint", own_write,
             own_read},
    [PYTORCH] = {"pytorch", "PyTorch reads it: safetensors, with the names that torchvision gives the layers of its vgg11",
                 pytorch_write, pytorch_read},
    [KERAS] = {"keras", "Keras 3 reads it, under a name that ends in .weights.h5: HDF5, for load_weights()", keras_write,
               keras_read},
    {NULL, NULL, NULL, NULL},
};

const weight_format *weight_format_find(const char *name) { return table_find(weight_formats, sizeof *weight_formats, name); }

typedef struct {
    const float *weights;
    vgg_status (*read)(const char *path, float *weights);
} written_weights;

static vgg_status verify_weights(const char *path, const void *context)
{
    const written_weights *written = context;
    size_t bytes = model_flat_count() * sizeof(float);
    void *again;
    VGG_TRY(vgg_map(bytes, &again));
    vgg_status status = written->read(path, again);
    if (status == VGG_OK && memcmp(again, written->weights, bytes) != 0) status = VGG_IO_ERROR;
    vgg_unmap(again, bytes);
    return status;
}

vgg_status weight_file_replace(const char *path, const file_part *parts, size_t count, const float *weights,
                               vgg_status (*read)(const char *path, float *weights))
{
    const written_weights written = {weights, read};
    const file_contents contents = {"weights", parts, count, verify_weights, &written};
    return checkpoint_replace(path, &contents);
}

vgg_status weight_file_check(const char *path, const char *name, const float *data, size_t count, const uint32_t *expected)
{
    if (expected && hash_crc32c(0, data, count * sizeof *data) != *expected)
        return vgg_fail(VGG_BAD_CHECKPOINT, "%s: %s does not match its checksum; the file is damaged", path, name);
    if (finite_floats(data, count)) return VGG_OK;
    return vgg_fail(VGG_BAD_CHECKPOINT, "%s: %s holds numbers that are not finite", path, name);
}

/* Among safetensors files this program's own are told by what they say of themselves. */
static vgg_status is_own(int file, const char *path, size_t file_bytes, bool *own)
{
    size_t data_start;
    json_t *root;
    VGG_TRY(checkpoint_read_json(file, path, file_bytes, &root, &data_start));
    const char *format = json_string_value(json_object_get(json_object_get(root, "__metadata__"), "format"));
    *own = format && strcmp(format, "vgg11_dist") == 0;
    json_decref(root);
    return VGG_OK;
}

static vgg_status find_format(int file, const char *path, size_t file_bytes, const weight_format **format)
{
    static const char hdf5[] = "\x89HDF\r\n\x1a\n"; /* format specification of HDF5, superblock */
    char head[SAFETENSORS_LENGTH_BYTES + 1];
    bool own = false;
    if (file_bytes < sizeof head) return vgg_fail(VGG_BAD_CHECKPOINT, "%s: has %zu bytes; too short for weights", path, file_bytes);
    VGG_TRY(checkpoint_read_at(file, path, 0, head, sizeof head));
    *format = &weight_formats[KERAS];
    if (memcmp(head, hdf5, sizeof hdf5 - 1) == 0) return VGG_OK;
    if (head[SAFETENSORS_LENGTH_BYTES] != '{')
        return vgg_fail(VGG_BAD_CHECKPOINT, "%s: is neither a safetensors nor an HDF5 file; weights are read from those", path);
    VGG_TRY(is_own(file, path, file_bytes, &own));
    *format = &weight_formats[own ? OWN : PYTORCH];
    return VGG_OK;
}

vgg_status weight_file_read(const char *path, float *weights, const weight_format **format)
{
    int file;
    size_t file_bytes;
    VGG_TRY(checkpoint_open(path, &file, &file_bytes));
    vgg_status status = find_format(file, path, file_bytes, format);
    close(file);
    return status == VGG_OK ? (*format)->read(path, weights) : status;
}

/* Weights for PyTorch: a safetensors file with the names of torchvision.models.vgg11 and PyTorch's layouts, OIHW kernels and (out, in)
 * matrices. The last map is 1x1, so that flattening it gives the channels in either order of axes, and fc1 needs no rearranging. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/safetensors.h"
#include "checkpoint/weight_file_impl.h"
#include "vgg11/base/hash.h"
#include "vgg11/base/memory.h"
#include "vgg11/nn/model.h"

/* torchvision counts ReLUs, pools and dropouts as layers of their own; its classifier ends with our fc3, behind which come a ReLU, 7,
 * and a layer for ten classes. */
static const char *const layer_names[MODEL_LAYERS] = {
    "features.0",  "features.3",  "features.6",   "features.8",   "features.11",  "features.13",
    "features.16", "features.18", "classifier.0", "classifier.3", "classifier.6", "classifier.8",
};

typedef struct {
    char name[32];
    const tensor_view *view;
    size_t area, in, out; /* of a kernel (3,3,in,out) or (in,out); a bias has area and in of 1 */
    int rank;
    size_t shape[4];
} torch_tensor;

static torch_tensor tensor_of(int index)
{
    const tensor_view *view = &model_tensors()[index];
    const size_t *own = view->shape + (view->rank == 4 ? 2 : 0);
    torch_tensor tensor = {.view = view, .rank = view->rank, .area = view->rank == 4 ? 9 : 1, .in = 1};
    if (view->kernel) tensor.in = *own++;
    tensor.out = *own;
    tensor.shape[0] = tensor.out;
    tensor.shape[1] = tensor.in;
    tensor.shape[2] = tensor.shape[3] = 3;
    snprintf(tensor.name, sizeof tensor.name, "%s.%s", layer_names[index / 2], view->kernel ? "weight" : "bias");
    return tensor;
}

static size_t bytes_of(const torch_tensor *tensor) { return tensor->view->count * sizeof(float); }

/* Where the element lies in our tensor that is number `k` of PyTorch's. */
static size_t own_place(const torch_tensor *tensor, size_t k)
{
    size_t position = k % tensor->area, in = k / tensor->area % tensor->in, out = k / tensor->area / tensor->in;
    return (position * tensor->in + in) * tensor->out + out;
}

static void from_own(const torch_tensor *tensor, const float *weights, float *theirs)
{
    const float *own = weights + tensor->view->offset;
    for (size_t k = 0; k < tensor->view->count; k++) theirs[k] = own[own_place(tensor, k)];
}

static void to_own(const torch_tensor *tensor, const float *theirs, float *weights)
{
    float *own = weights + tensor->view->offset;
    for (size_t k = 0; k < tensor->view->count; k++) own[own_place(tensor, k)] = theirs[k];
}

/* What a user of the weights must know of the pictures that they were trained on. */
static json_t *metadata_of(const checkpoint_state *state)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:s}", "format", "pt", "step", json_sprintf("%" PRIu64, state->position.step),
                     "pixel_mean", json_sprintf("%.17g", state->pixel_mean), "pixel_deviation",
                     json_sprintf("%.17g", state->pixel_deviation), "config", state->config_json ? state->config_json : "");
}

/* The tensors one after the other into data[], and all that the header says. For free(); NULL without memory. */
static char *compose(const checkpoint_state *state, const float *weights, float *data)
{
    json_t *root = json_object(), *metadata = metadata_of(state);
    bool whole = root && metadata;
    size_t offset = 0;
    for (int i = 0; whole && i < MODEL_TENSORS; i++) {
        torch_tensor tensor = tensor_of(i);
        float *theirs = data + offset / sizeof(float);
        from_own(&tensor, weights, theirs);
        whole = json_object_set_new(root, tensor.name,
                                    safetensors_describe(tensor.rank, tensor.shape, offset, bytes_of(&tensor))) == 0 &&
                safetensors_put_checksum(metadata, tensor.name, hash_crc32c(0, theirs, bytes_of(&tensor)));
        offset += bytes_of(&tensor);
    }
    whole = whole && json_object_set(root, "__metadata__", metadata) == 0;
    char *text = whole ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(metadata);
    json_decref(root);
    return text;
}

vgg_status pytorch_write(const char *path, const checkpoint_state *state, const float *weights)
{
    size_t bytes = MODEL_PARAMETERS * sizeof(float), header_bytes = 0;
    unsigned char length[SAFETENSORS_LENGTH_BYTES];
    char *header = NULL;
    void *data;
    VGG_TRY(vgg_map(bytes, &data));
    vgg_status status = safetensors_pad(compose(state, weights, data), &header, &header_bytes);
    if (status == VGG_OK) {
        safetensors_write_length(header_bytes, length);
        const file_part parts[] = {{length, sizeof length}, {header, header_bytes}, {data, bytes}};
        status = weight_file_replace(path, parts, sizeof parts / sizeof *parts, weights, pytorch_read);
    }
    free(header);
    vgg_unmap(data, bytes);
    return status;
}

/* An open file, and what its header says. */
typedef struct {
    const char *path;
    int file;
    size_t data_start, data_bytes;
    json_t *root;
} torch_file;

/* Other programs may order tensors as they like: the file says where they lie. */
static vgg_status find_data(const torch_file *from, const torch_tensor *tensor, size_t *offset)
{
    VGG_TRY(safetensors_check(from->path, from->root, tensor->name, tensor->rank, tensor->shape));
    json_t *offsets = json_object_get(json_object_get(from->root, tensor->name), "data_offsets");
    json_int_t begin = json_integer_value(json_array_get(offsets, 0)), end = json_integer_value(json_array_get(offsets, 1));
    bool inside = begin >= 0 && end >= begin && (size_t)end <= from->data_bytes;
    if (!inside || (size_t)(end - begin) != bytes_of(tensor))
        return vgg_fail(VGG_BAD_CHECKPOINT, "%s: %s: data_offsets do not fit it, or lie outside of the file", from->path,
                        tensor->name);
    *offset = from->data_start + (size_t)begin;
    return VGG_OK;
}

static vgg_status read_tensor(const torch_file *from, const torch_tensor *tensor, float *theirs, float *weights)
{
    size_t offset = 0;
    uint32_t crc;
    VGG_TRY(find_data(from, tensor, &offset));
    VGG_TRY(checkpoint_read_at(from->file, from->path, offset, theirs, bytes_of(tensor)));
    bool summed = safetensors_checksum_of(json_object_get(from->root, "__metadata__"), tensor->name, &crc);
    VGG_TRY(weight_file_check(from->path, tensor->name, theirs, tensor->view->count, summed ? &crc : NULL));
    to_own(tensor, theirs, weights);
    return VGG_OK;
}

static vgg_status read_tensors(const torch_file *from, float *weights)
{
    size_t others = json_object_get(from->root, "__metadata__") ? 1 : 0, bytes = MODEL_PARAMETERS * sizeof(float);
    if (json_object_size(from->root) > MODEL_TENSORS + others)
        return vgg_fail(VGG_BAD_CHECKPOINT, "%s: holds %zu tensors, and VGG11 has %d", from->path,
                        json_object_size(from->root) - others, MODEL_TENSORS);
    void *theirs;
    VGG_TRY(vgg_map(bytes, &theirs));
    memset(weights, 0, model_flat_count() * sizeof *weights);
    vgg_status status = VGG_OK;
    for (int i = 0; status == VGG_OK && i < MODEL_TENSORS; i++) {
        torch_tensor tensor = tensor_of(i);
        status = read_tensor(from, &tensor, theirs, weights);
    }
    vgg_unmap(theirs, bytes);
    return status;
}

static vgg_status read_open(torch_file *from, size_t file_bytes, float *weights)
{
    VGG_TRY(checkpoint_read_json(from->file, from->path, file_bytes, &from->root, &from->data_start));
    from->data_bytes = file_bytes - from->data_start;
    vgg_status status = read_tensors(from, weights);
    json_decref(from->root);
    return status;
}

vgg_status pytorch_read(const char *path, float *weights)
{
    torch_file from = {.path = path};
    size_t file_bytes;
    VGG_TRY(checkpoint_open(path, &from.file, &file_bytes));
    vgg_status status = read_open(&from, file_bytes, weights);
    close(from.file);
    return status;
}

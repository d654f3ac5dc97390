/* Weights for Keras 3: HDF5, as save_weights() writes and load_weights() reads it for a Sequential model. Of each layer there is a
 * group, named by its class and counted within it, with its variables by number; Keras' layouts are ours. */
#include "checkpoint/weight_file_impl.h"

#ifdef VGG11_HAVE_HDF5
#include <errno.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vgg11/base/hash.h"
#include "vgg11/nn/model.h"

enum { IMAGE_STEP_BYTES = 64 << 20, LAYERS_MOST = 1000, NAME_BYTES = 64 };
/* The library looks for a file of the name that it is to make, also where it makes it in memory. */
#define NO_FILE "/dev/null/weights"
#define LAYERS "layers"
#define CHECKSUM "crc32c" /* of a dataset's bytes, as an attribute of it; Keras passes it over */

static const char *const layer_names[MODEL_LAYERS] = {
    "conv2d",   "conv2d_1", "conv2d_2", "conv2d_3", "conv2d_4", "conv2d_5",
    "conv2d_6", "conv2d_7", "dense",    "dense_1",  "dense_2",  "dense_3",
};

static void name_of(int index, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, LAYERS "/%s/vars/%d", layer_names[index / 2], index % 2);
}

static void shape_of(const tensor_view *view, hsize_t shape[4])
{
    for (int i = 0; i < view->rank; i++) shape[i] = view->shape[i];
}

/* The library prints its errors unless it is told not to. */
static bool be_quiet(void) { return H5Eset_auto2(H5E_DEFAULT, NULL, NULL) >= 0; }

/* What is being written. */
typedef struct {
    hid_t access;  /* in memory: the file is then written as all others are */
    hid_t parents; /* makes the groups of a name */
    hid_t untimed; /* the same weights give the same bytes */
    hid_t scalar;
    hid_t file;
} hdf5_writer;

static bool open_writer(hdf5_writer *to)
{
    to->access = H5Pcreate(H5P_FILE_ACCESS);
    to->parents = H5Pcreate(H5P_LINK_CREATE);
    to->untimed = H5Pcreate(H5P_DATASET_CREATE);
    to->scalar = H5Screate(H5S_SCALAR);
    bool set = H5Pset_fapl_core(to->access, IMAGE_STEP_BYTES, false) >= 0 &&
               H5Pset_create_intermediate_group(to->parents, 1) >= 0 && H5Pset_obj_track_times(to->untimed, false) >= 0;
    to->file = set ? H5Fcreate(NO_FILE, H5F_ACC_TRUNC, H5P_DEFAULT, to->access) : H5I_INVALID_HID;
    return to->scalar >= 0 && to->file >= 0;
}

static void close_writer(const hdf5_writer *to)
{
    if (to->file >= 0) H5Fclose(to->file);
    if (to->scalar >= 0) H5Sclose(to->scalar);
    if (to->untimed >= 0) H5Pclose(to->untimed);
    if (to->parents >= 0) H5Pclose(to->parents);
    if (to->access >= 0) H5Pclose(to->access);
}

static bool put_attribute(const hdf5_writer *to, hid_t object, const char *name, hid_t stored, hid_t type, const void *value)
{
    hid_t attribute = H5Acreate2(object, name, stored, to->scalar, H5P_DEFAULT, H5P_DEFAULT);
    bool put = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
    if (attribute >= 0) H5Aclose(attribute);
    return put;
}

static bool put_tensor(const hdf5_writer *to, int index, const float *weights)
{
    const tensor_view *view = &model_tensors()[index];
    const float *data = weights + view->offset;
    uint32_t crc = hash_crc32c(0, data, view->count * sizeof *data);
    hsize_t shape[4];
    char name[NAME_BYTES];
    shape_of(view, shape);
    name_of(index, name);
    hid_t space = H5Screate_simple(view->rank, shape, NULL);
    hid_t set = H5Dcreate2(to->file, name, H5T_IEEE_F32LE, space, to->parents, to->untimed, H5P_DEFAULT);
    bool put = set >= 0 && H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0 &&
               put_attribute(to, set, CHECKSUM, H5T_STD_U32LE, H5T_NATIVE_UINT32, &crc);
    if (set >= 0) H5Dclose(set);
    if (space >= 0) H5Sclose(space);
    return put;
}

static bool put_all(const hdf5_writer *to, const checkpoint_state *state, const float *weights)
{
    bool put = put_attribute(to, to->file, "step", H5T_STD_U64LE, H5T_NATIVE_UINT64, &state->position.step) &&
               put_attribute(to, to->file, "pixel_mean", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &state->pixel_mean) &&
               put_attribute(to, to->file, "pixel_deviation", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &state->pixel_deviation);
    for (int i = 0; put && i < MODEL_TENSORS; i++) put = put_tensor(to, i, weights);
    return put && H5Fflush(to->file, H5F_SCOPE_GLOBAL) >= 0;
}

/* The whole file, for free(); NULL without memory, which is all that can be lacking. */
static void *make_image(const checkpoint_state *state, const float *weights, size_t *bytes)
{
    hdf5_writer to;
    void *image = NULL;
    ssize_t size = -1;
    if (open_writer(&to) && put_all(&to, state, weights)) size = H5Fget_file_image(to.file, NULL, 0);
    if (size > 0) image = malloc((size_t)size);
    if (image && H5Fget_file_image(to.file, image, (size_t)size) != size) {
        free(image);
        image = NULL;
    }
    close_writer(&to);
    *bytes = (size_t)size;
    return image;
}

vgg_status keras_write(const char *path, const checkpoint_state *state, const float *weights)
{
    size_t bytes = 0;
    void *image = be_quiet() ? make_image(state, weights, &bytes) : NULL;
    if (!image) return vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory to make the HDF5 file", path);
    const file_part part = {image, bytes};
    vgg_status status = weight_file_replace(path, &part, 1, weights, keras_read);
    free(image);
    return status;
}

static vgg_status bad(const char *path, const char *name, const char *what)
{
    return vgg_fail(VGG_BAD_CHECKPOINT, "%s: %s: %s", path, name, what);
}

/* Whether each part of the name is there, and none of them leads elsewhere: a link may name any file of the machine. */
static bool is_there(hid_t file, const char *name)
{
    char part[2 * NAME_BYTES];
    H5L_info_t link;
    for (size_t at = strcspn(name, "/");; at += 1 + strcspn(name + at + 1, "/")) {
        snprintf(part, sizeof part, "%.*s", (int)at, name);
        bool hard = H5Lexists(file, part, H5P_DEFAULT) > 0 && H5Lget_info(file, part, &link, H5P_DEFAULT) >= 0 &&
                    link.type == H5L_TYPE_HARD;
        if (!hard) return false;
        if (name[at] == '\0') return true;
    }
}

static bool has_type(hid_t set)
{
    hid_t type = H5Dget_type(set);
    bool same = type >= 0 && H5Tequal(type, H5T_IEEE_F32LE) > 0;
    if (type >= 0) H5Tclose(type);
    return same;
}

static bool has_shape(hid_t set, const tensor_view *view)
{
    hsize_t expected[4], shape[H5S_MAX_RANK];
    hid_t space = H5Dget_space(set);
    shape_of(view, expected);
    bool same = space >= 0 && H5Sget_simple_extent_ndims(space) == view->rank &&
                H5Sget_simple_extent_dims(space, shape, NULL) == view->rank &&
                memcmp(shape, expected, (size_t)view->rank * sizeof *shape) == 0;
    if (space >= 0) H5Sclose(space);
    return same;
}

/* Not in other files, which the name of a file in this one may lead to. */
static bool holds_its_data(hid_t set)
{
    hid_t list = H5Dget_create_plist(set);
    bool inside = list >= 0 && H5Pget_layout(list) != H5D_VIRTUAL && H5Pget_external_count(list) == 0;
    if (list >= 0) H5Pclose(list);
    return inside;
}

/* True if there is a checksum, or none is asked for; a scalar, so that no more is read than there is room for. */
static bool get_checksum(hid_t set, uint32_t *crc, bool *summed)
{
    *summed = H5Aexists(set, CHECKSUM) > 0;
    if (!*summed) return true;
    hid_t attribute = H5Aopen(set, CHECKSUM, H5P_DEFAULT), space = attribute >= 0 ? H5Aget_space(attribute) : H5I_INVALID_HID;
    hid_t type = attribute >= 0 ? H5Aget_type(attribute) : H5I_INVALID_HID;
    bool got = space >= 0 && type >= 0 && H5Sget_simple_extent_npoints(space) == 1 && H5Tget_class(type) == H5T_INTEGER &&
               H5Aread(attribute, H5T_NATIVE_UINT32, crc) >= 0;
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    if (attribute >= 0) H5Aclose(attribute);
    return got;
}

static vgg_status read_set(const char *path, const char *name, hid_t set, const tensor_view *view, float *weights)
{
    uint32_t crc = 0;
    bool summed;
    if (!has_type(set)) return bad(path, name, "is not of 32-bit floats");
    if (!has_shape(set, view)) return bad(path, name, "shape is not that of VGG11");
    if (!holds_its_data(set)) return bad(path, name, "lies in another file");
    errno = 0;
    if (!get_checksum(set, &crc, &summed) ||
        H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, weights + view->offset) < 0)
        return errno == ENOMEM ? vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory to read it", path)
                               : bad(path, name, "cannot be read; the file is damaged");
    return weight_file_check(path, name, weights + view->offset, view->count, summed ? &crc : NULL);
}

static vgg_status read_tensor(const char *path, hid_t file, int index, float *weights)
{
    char name[NAME_BYTES];
    name_of(index, name);
    hid_t set = is_there(file, name) ? H5Dopen2(file, name, H5P_DEFAULT) : H5I_INVALID_HID;
    if (set < 0) return bad(path, name, "is missing; expected the weights of a Sequential model, as Keras 3 saves them");
    vgg_status status = read_set(path, name, set, &model_tensors()[index], weights);
    H5Dclose(set);
    return status;
}

static bool is_ours(const char *layer)
{
    for (int i = 0; i < MODEL_LAYERS; i++)
        if (strcmp(layer, layer_names[i]) == 0) return true;
    return false;
}

/* A layer that has variables and is not of this network; those without, such as pools, are none of our concern. */
static vgg_status refuse_layer(const char *path, hid_t file, const char *layer)
{
    char name[2 * NAME_BYTES];
    H5G_info_t facts;
    snprintf(name, sizeof name, LAYERS "/%s/vars", layer);
    bool has_variables = !is_ours(layer) && is_there(file, name) && H5Gget_info_by_name(file, name, &facts, H5P_DEFAULT) >= 0 &&
                         facts.nlinks > 0;
    for (char *byte = name; *byte; byte++)
        *byte = *byte < ' ' || *byte > '~' ? '?' : *byte; /* it is the file's, and goes to a terminal */
    return has_variables ? bad(path, name, "is a layer with weights that VGG11 does not have") : VGG_OK;
}

static vgg_status refuse_other_layers(const char *path, hid_t file)
{
    H5G_info_t facts;
    bool listed = is_there(file, LAYERS) && H5Gget_info_by_name(file, LAYERS, &facts, H5P_DEFAULT) >= 0;
    if (!listed || facts.nlinks > LAYERS_MOST) return bad(path, LAYERS, "is no group of a network's layers, as Keras 3 saves them");
    for (hsize_t i = 0; i < facts.nlinks; i++) {
        char layer[NAME_BYTES];
        ssize_t length = H5Lget_name_by_idx(file, LAYERS, H5_INDEX_NAME, H5_ITER_INC, i, layer, sizeof layer, H5P_DEFAULT);
        if (length < 0 || length >= NAME_BYTES) return bad(path, LAYERS, "holds a layer whose name cannot be read");
        VGG_TRY(refuse_layer(path, file, layer));
    }
    return VGG_OK;
}

static vgg_status read_tensors(const char *path, hid_t file, float *weights)
{
    memset(weights, 0, model_flat_count() * sizeof *weights);
    VGG_TRY(refuse_other_layers(path, file));
    for (int i = 0; i < MODEL_TENSORS; i++) VGG_TRY(read_tensor(path, file, i, weights));
    return VGG_OK;
}

/* Without locks, which not all file systems have: who writes such a file gives it another name until it is whole. And without code
 * that the file asks for, such as filters from other libraries. */
static hid_t open_to_read(const char *path)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    bool set = access >= 0 && be_quiet() && H5PLset_loading_state(0) >= 0 && H5Pset_file_locking(access, false, true) >= 0;
    hid_t file = set ? H5Fopen(path, H5F_ACC_RDONLY, access) : H5I_INVALID_HID;
    if (access >= 0) H5Pclose(access);
    return file;
}

vgg_status keras_read(const char *path, float *weights)
{
    errno = 0;
    hid_t file = open_to_read(path);
    if (file < 0 && errno == ENOMEM) return vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory to read it", path);
    if (file < 0) return vgg_fail(VGG_BAD_CHECKPOINT, "%s: not a sound HDF5 file; it may have been cut short", path);
    vgg_status status = read_tensors(path, file, weights);
    H5Fclose(file);
    return status;
}

#else

static vgg_status lacking(void)
{
    return vgg_fail(VGG_UNAVAILABLE,
                    "Keras' files need HDF5, which this build lacks: install libhdf5-dev (launch/setup.sh does) and build anew");
}

vgg_status keras_write(const char *path, const checkpoint_state *state, const float *weights)
{
    (void)path, (void)state, (void)weights;
    return lacking();
}

vgg_status keras_read(const char *path, float *weights)
{
    (void)path, (void)weights;
    return lacking();
}

#endif

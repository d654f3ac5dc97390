/* Writing a checkpoint: under a temporary name, synced, read back, and only then under its own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "checkpoint/file.h"
#include "checkpoint/safetensors.h"
#include "vgg11/base/file.h"
#include "vgg11/base/finite.h"
#include "vgg11/base/hash.h"
#include "vgg11/checkpoint/checkpoint.h"

static const float *tensor_data(const safetensors_entry *entry, int index, const float *weights, const float *velocity)
{
    return (index < MODEL_TENSORS ? weights : velocity) + entry->view->offset;
}

/* Space is asked for first: a full disk is found before anything is written. Where the file system cannot say, writing will. */
static vgg_status reserve_space(int file, const char *path, const char *what, size_t bytes)
{
    int problem = posix_fallocate(file, 0, (off_t)bytes);
    if (problem != ENOSPC && problem != EDQUOT && problem != EFBIG) return VGG_OK;
    errno = problem;
    return vgg_fail_errno(VGG_IO_ERROR, "%s: no room for %s of %zu bytes", path, what, bytes);
}

/* Read back from its temporary name: what has the name of a checkpoint was sound when it got it. */
static vgg_status verify(file_replacement *file, const file_contents *contents)
{
    VGG_TRY(file_replace_close(file));
    vgg_status status = contents->verify(file->temporary, contents->context);
    if (status == VGG_OK) return VGG_OK;
    file_replace_cancel(file);
    if (status == VGG_UNAVAILABLE) return status; /* nothing is wrong with the file */
    return vgg_fail(VGG_IO_ERROR, "%s: reads back other than it was written; is the disk sound?", file->path);
}

static vgg_status write_parts(const file_replacement *file, const file_contents *contents)
{
    size_t bytes = 0;
    for (size_t i = 0; i < contents->count; i++) bytes += contents->parts[i].bytes;
    VGG_TRY(reserve_space(file->file, file->path, contents->what, bytes));
    for (size_t i = 0; i < contents->count; i++)
        VGG_TRY(file_write_all(file->file, file->path, contents->parts[i].data, contents->parts[i].bytes));
    return VGG_OK;
}

vgg_status checkpoint_replace(const char *path, const file_contents *contents)
{
    file_replacement file;
    VGG_TRY(file_replace_begin(path, &file));
    vgg_status status = write_parts(&file, contents);
    if (status != VGG_OK) {
        file_replace_cancel(&file);
        return status;
    }
    VGG_TRY(verify(&file, contents));
    return file_replace_commit(&file);
}

static vgg_status verify_checkpoint(const char *path, const void *context)
{
    const checkpoint_state *state = context;
    return checkpoint_verify(path, state->weights_only);
}

static vgg_status write_file(const char *path, const checkpoint_state *state, const char *header, size_t header_bytes,
                             const float *weights, const float *velocity)
{
    unsigned char length[SAFETENSORS_LENGTH_BYTES];
    safetensors_write_length(header_bytes, length);
    file_part parts[2 + SAFETENSORS_TENSORS] = {{length, sizeof length}, {header, header_bytes}};
    int tensors = safetensors_tensors_of(state);
    for (int i = 0; i < tensors; i++) {
        safetensors_entry entry = safetensors_tensor(i);
        parts[2 + i] = (file_part){tensor_data(&entry, i, weights, velocity), entry.data_bytes};
    }
    const file_contents contents = {"a checkpoint", parts, (size_t)(2 + tensors), verify_checkpoint, state};
    return checkpoint_replace(path, &contents);
}

/* The tensors' checksums; refuses what is not finite, so that the newest checkpoint of a run that diverged is one to go on from. */
static vgg_status sum_up(const char *path, int tensors, const float *weights, const float *velocity,
                         uint32_t crc[SAFETENSORS_TENSORS])
{
    for (int i = 0; i < tensors; i++) {
        safetensors_entry entry = safetensors_tensor(i);
        const float *data = tensor_data(&entry, i, weights, velocity);
        if (!finite_floats(data, entry.view->count))
            return vgg_fail(VGG_DIVERGED, "training diverged: %s is not finite, so %s is not written", entry.name, path);
        crc[i] = hash_crc32c(0, data, entry.data_bytes);
    }
    return VGG_OK;
}

vgg_status checkpoint_save(const char *path, const checkpoint_state *state, const float *weights, const float *velocity,
                           uint64_t *bytes_written)
{
    uint32_t crc[SAFETENSORS_TENSORS];
    checkpoint_state contents = *state;
    contents.weights_only = velocity == NULL;
    VGG_TRY(sum_up(path, safetensors_tensors_of(&contents), weights, velocity, crc));
    char *header = NULL;
    size_t header_bytes = 0;
    VGG_TRY(safetensors_compose(&contents, crc, &header, &header_bytes));
    vgg_status status = write_file(path, &contents, header, header_bytes, weights, velocity);
    free(header);
    if (bytes_written) *bytes_written = SAFETENSORS_LENGTH_BYTES + header_bytes + safetensors_bytes_of(&contents);
    return status;
}

vgg_status checkpoint_alias(const char *path, const char *alias)
{
    file_replacement second = {.path = alias, .file = -1};
    file_temporary_name(alias, second.temporary);
    if (link(path, second.temporary) != 0) return vgg_fail_errno(VGG_IO_ERROR, "%s: cannot be linked", path);
    vgg_status status = file_replace_commit(&second);
    unlink(second.temporary); /* renaming onto another name of the same file does nothing and leaves both */
    return status;
}

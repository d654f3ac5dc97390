/* Writing a checkpoint: under a temporary name, synced, read back, and only then under its own. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "checkpoint/file.h"
#include "checkpoint/safetensors.h"
#include "vgg11/base/hash.h"
#include "vgg11/checkpoint/checkpoint.h"

static void folder_of(const char *path, char folder[CHECKPOINT_PATH_MAX])
{
    char copy[CHECKPOINT_PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    snprintf(folder, CHECKPOINT_PATH_MAX, "%s", dirname(copy));
}

void checkpoint_temporary_name(const char *path, char *temporary, unsigned long bytes)
{
    char folder[CHECKPOINT_PATH_MAX];
    unsigned long long letters = (unsigned long long)getpid();
    if (getrandom(&letters, sizeof letters, 0) < 0) letters ^= (unsigned long long)(size_t)&letters;
    folder_of(path, folder);
    snprintf(temporary, bytes, "%s/" CHECKPOINT_TEMPORARY "%016llx", folder, letters);
}

vgg_status checkpoint_sync_folder(const char *path)
{
    char folder[CHECKPOINT_PATH_MAX];
    folder_of(path, folder);
    int opened = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = opened < 0 || fsync(opened) != 0;
    vgg_status status = failed ? vgg_fail_errno(VGG_IO_ERROR, "%s: cannot sync the folder", folder) : VGG_OK;
    if (opened >= 0) close(opened);
    return status;
}

static vgg_status write_all(int file, const char *path, const void *data, size_t bytes)
{
    const char *from = data;
    while (bytes > 0) {
        ssize_t done = write(file, from, bytes);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return vgg_fail_errno(VGG_IO_ERROR, "%s: cannot be written", path);
        from += done;
        bytes -= (size_t)done;
    }
    return VGG_OK;
}

static const float *tensor_data(const safetensors_entry *entry, int index, const float *weights, const float *velocity)
{
    return (index < MODEL_TENSORS ? weights : velocity) + entry->view->offset;
}

static vgg_status write_contents(int file, const char *path, const char *header, size_t header_bytes, const float *weights,
                                 const float *velocity)
{
    unsigned char length[SAFETENSORS_LENGTH_BYTES];
    for (int i = 0; i < SAFETENSORS_LENGTH_BYTES; i++) length[i] = (unsigned char)((uint64_t)header_bytes >> (8 * i));
    VGG_TRY(write_all(file, path, length, sizeof length));
    VGG_TRY(write_all(file, path, header, header_bytes));
    for (int i = 0; i < SAFETENSORS_TENSORS; i++) {
        safetensors_entry entry = safetensors_tensor(i);
        VGG_TRY(write_all(file, path, tensor_data(&entry, i, weights, velocity), entry.data_bytes));
    }
    return fsync(file) == 0 ? VGG_OK : vgg_fail_errno(VGG_IO_ERROR, "%s: cannot be synced", path);
}

/* Space is asked for first: a full disk is found before anything is written. Where the file system cannot say, writing will. */
static vgg_status reserve_space(int file, const char *path, size_t bytes)
{
    int problem = posix_fallocate(file, 0, (off_t)bytes);
    if (problem != ENOSPC && problem != EDQUOT && problem != EFBIG) return VGG_OK;
    errno = problem;
    return vgg_fail_errno(VGG_IO_ERROR, "%s: no room for a checkpoint of %zu bytes", path, bytes);
}

static vgg_status write_temporary(const char *temporary, const char *path, const char *header, size_t header_bytes,
                                  const float *weights, const float *velocity)
{
    int file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (file < 0) return vgg_fail_errno(VGG_IO_ERROR, "%s: cannot be written", path);
    vgg_status status = reserve_space(file, path, SAFETENSORS_LENGTH_BYTES + header_bytes + safetensors_data_bytes());
    if (status == VGG_OK) status = write_contents(file, path, header, header_bytes, weights, velocity);
    if (close(file) != 0 && status == VGG_OK) status = vgg_fail_errno(VGG_IO_ERROR, "%s: cannot be closed", path);
    return status;
}

static vgg_status check_and_rename(const char *temporary, const char *path)
{
    if (checkpoint_verify(temporary) != VGG_OK)
        return vgg_fail(VGG_IO_ERROR, "%s: reads back other than it was written; is the disk sound?", path);
    if (rename(temporary, path) != 0) return vgg_fail_errno(VGG_IO_ERROR, "%s: cannot be put in place", path);
    return checkpoint_sync_folder(path);
}

/* The tensors' checksums; refuses what is not finite, so that the newest checkpoint of a run that diverged is one to go on from. */
static vgg_status sum_up(const char *path, const float *weights, const float *velocity, uint32_t crc[SAFETENSORS_TENSORS])
{
    for (int i = 0; i < SAFETENSORS_TENSORS; i++) {
        safetensors_entry entry = safetensors_tensor(i);
        const float *data = tensor_data(&entry, i, weights, velocity);
        if (!checkpoint_finite(data, entry.view->count))
            return vgg_fail(VGG_DIVERGED,
                            "training diverged: %s is not finite, so %s is not written; lower --lr or set --clip-norm", entry.name,
                            path);
        crc[i] = hash_crc32c(0, data, entry.data_bytes);
    }
    return VGG_OK;
}

vgg_status checkpoint_save(const char *path, const checkpoint_state *state, const float *weights, const float *velocity,
                           uint64_t *bytes_written)
{
    uint32_t crc[SAFETENSORS_TENSORS];
    VGG_TRY(sum_up(path, weights, velocity, crc));
    char *header = NULL, temporary[CHECKPOINT_PATH_MAX + 64];
    size_t header_bytes = 0;
    VGG_TRY(safetensors_compose(state, crc, &header, &header_bytes));
    checkpoint_temporary_name(path, temporary, sizeof temporary);
    vgg_status status = write_temporary(temporary, path, header, header_bytes, weights, velocity);
    free(header);
    if (status == VGG_OK) status = check_and_rename(temporary, path);
    if (status != VGG_OK) unlink(temporary);
    if (bytes_written) *bytes_written = SAFETENSORS_LENGTH_BYTES + header_bytes + safetensors_data_bytes();
    return status;
}

vgg_status checkpoint_alias(const char *path, const char *alias)
{
    char temporary[CHECKPOINT_PATH_MAX + 64];
    checkpoint_temporary_name(alias, temporary, sizeof temporary);
    if (link(path, temporary) != 0) return vgg_fail_errno(VGG_IO_ERROR, "%s: cannot be linked", path);
    if (rename(temporary, alias) != 0) {
        vgg_status status = vgg_fail_errno(VGG_IO_ERROR, "%s: cannot be put in place", alias);
        unlink(temporary);
        return status;
    }
    unlink(temporary); /* renaming onto another name of the same file does nothing and leaves both */
    return checkpoint_sync_folder(alias);
}

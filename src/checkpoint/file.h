/* What the parts of the checkpoint code share. */
#ifndef VGG11_CHECKPOINT_FILE_H
#define VGG11_CHECKPOINT_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "vgg11/base/status.h"

/* Temporary files are called this plus random letters; only such are ever cleaned up. */
#define CHECKPOINT_TEMPORARY ".vgg11-checkpoint-"

/* Reads all of it and checks everything; uses nothing. */
vgg_status checkpoint_verify(const char *path);

/* No NaN and no infinity among values[count]. */
bool checkpoint_finite(const float *values, size_t count);

/* Makes the names in the folder of `path` last: fsync of the folder. */
vgg_status checkpoint_sync_folder(const char *path);

/* Writes into `temporary` a fresh name beside `path`. */
void checkpoint_temporary_name(const char *path, char *temporary, unsigned long bytes);

#endif

/* What the parts of the checkpoint code share. */
#ifndef VGG11_CHECKPOINT_FILE_H
#define VGG11_CHECKPOINT_FILE_H

#include "vgg11/base/status.h"

/* Reads all of it and checks everything; uses nothing. */
vgg_status checkpoint_verify(const char *path);

#endif

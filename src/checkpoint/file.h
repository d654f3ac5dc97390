/* What the parts of the checkpoint code share. */
#ifndef VGG11_CHECKPOINT_FILE_H
#define VGG11_CHECKPOINT_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "vgg11/base/status.h"

/* Reads all of it and checks everything; uses nothing. */
vgg_status checkpoint_verify(const char *path, bool weights_will_do);

/* Opens a file to be read with the function below, and tells its size; VGG_BAD_CHECKPOINT if there is none. The caller closes. */
vgg_status checkpoint_open(const char *path, int *file, size_t *file_bytes);

/* All of data[bytes], from `offset` on; VGG_BAD_CHECKPOINT if the file ends before. */
vgg_status checkpoint_read_at(int file, const char *path, size_t offset, void *data, size_t bytes);

/* The header of a safetensors file, for free(). VGG_BAD_CHECKPOINT if the file cannot be one, or its header is too long for one of
 * this network. */
vgg_status checkpoint_read_header(int file, const char *path, size_t file_bytes, char **header, size_t *header_bytes);

/* The same as JSON, whose reference the caller drops, and where the data behind it starts. */
vgg_status checkpoint_read_json(int file, const char *path, size_t file_bytes, json_t **root, size_t *data_start);

typedef struct {
    const void *data;
    size_t bytes;
} file_part;

/* What a file is to hold: its parts, one after the other. */
typedef struct {
    const char *what; /* for messages: "a checkpoint" */
    const file_part *parts;
    size_t count;
    /* Reads it back from the name it is given. VGG_UNAVAILABLE is passed on; any other failure is the disk's. */
    vgg_status (*verify)(const char *path, const void *context);
    const void *context;
} file_contents;

/* Writes `path` under a temporary name, syncs, reads back, renames. VGG_IO_ERROR leaves no partial file. */
vgg_status checkpoint_replace(const char *path, const file_contents *contents);

#endif

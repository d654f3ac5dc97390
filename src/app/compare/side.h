/* Private to app: one of the two that are compared, a run folder or a checkpoint. */
#ifndef VGG11_APP_COMPARE_SIDE_H
#define VGG11_APP_COMPARE_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgg11/checkpoint/checkpoint.h"

typedef struct {
    const char *path; /* the caller's */
    bool folder;
    bool metrics;    /* holds a metrics.jsonl, whatever that is */
    uint64_t *steps; /* of its checkpoints, ascending; of a checkpoint, its own */
    size_t count;
} compare_side;

/* VGG_IO_ERROR if there is nothing of that name, VGG_BAD_CHECKPOINT for a file that is no checkpoint and a folder that holds nothing to
 * compare. compare_side_close() in any case. */
vgg_status compare_side_open(const char *path, compare_side *side);
void compare_side_close(compare_side *side);

bool compare_side_has(const compare_side *side, uint64_t step);

/* The checkpoint of that step; a checkpoint's own path whatever the step. */
void compare_side_checkpoint(const compare_side *side, uint64_t step, char path[CHECKPOINT_PATH_MAX]);

/* "<folder>/<name>". */
enum { COMPARE_PATH_MAX = CHECKPOINT_PATH_MAX + 32 };
void compare_side_file(const compare_side *side, const char *name, char path[COMPARE_PATH_MAX]);

#endif

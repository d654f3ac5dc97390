#include "app/compare/side.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void compare_side_file(const compare_side *side, const char *name, char path[COMPARE_PATH_MAX])
{
    snprintf(path, COMPARE_PATH_MAX, "%s/%s", side->path, name);
}

void compare_side_checkpoint(const compare_side *side, uint64_t step, char path[CHECKPOINT_PATH_MAX])
{
    if (side->folder)
        checkpoint_path(side->path, step, path);
    else
        snprintf(path, CHECKPOINT_PATH_MAX, "%s", side->path);
}

bool compare_side_has(const compare_side *side, uint64_t step)
{
    bool found = false;
    for (size_t i = 0; i < side->count; i++) found |= side->steps[i] == step;
    return found;
}

static void turn_round(uint64_t *steps, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        uint64_t kept = steps[i];
        steps[i] = steps[count - 1 - i];
        steps[count - 1 - i] = kept;
    }
}

static vgg_status open_folder(compare_side *side)
{
    char metrics[COMPARE_PATH_MAX];
    struct stat facts;
    VGG_TRY(checkpoint_list(side->path, &side->steps, &side->count));
    turn_round(side->steps, side->count);
    compare_side_file(side, "metrics.jsonl", metrics);
    side->metrics = lstat(metrics, &facts) == 0;
    if (side->metrics || side->count > 0) return VGG_OK;
    return vgg_fail(VGG_BAD_CHECKPOINT, "%s: holds neither metrics.jsonl nor a checkpoint; expected a run folder or a checkpoint",
                    side->path);
}

static vgg_status open_checkpoint(compare_side *side)
{
    checkpoint_state state = {0};
    vgg_status status = checkpoint_read_state(side->path, &state);
    uint64_t step = state.position.step;
    checkpoint_state_clear(&state);
    if (status != VGG_OK) return status;
    side->steps = malloc(sizeof *side->steps);
    if (!side->steps) return vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory to read it", side->path);
    side->steps[0] = step;
    side->count = 1;
    return VGG_OK;
}

vgg_status compare_side_open(const char *path, compare_side *side)
{
    struct stat facts;
    *side = (compare_side){.path = path};
    if (stat(path, &facts) != 0) return vgg_fail_errno(VGG_IO_ERROR, "%s: cannot be opened", path);
    side->folder = S_ISDIR(facts.st_mode);
    return side->folder ? open_folder(side) : open_checkpoint(side);
}

void compare_side_close(compare_side *side)
{
    free(side->steps);
    memset(side, 0, sizeof *side);
}

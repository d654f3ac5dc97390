/* The checkpoints of a run folder: the newest that is sound, and the removal of old ones. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "checkpoint/file.h"
#include "checkpoint/safetensors.h"
#include "vgg11/base/file.h"
#include "vgg11/base/log.h"
#include "vgg11/checkpoint/checkpoint.h"

#define PREFIX "checkpoint-"
#define SUFFIX ".safetensors"
enum { STEP_DIGITS_MIN = 8, STEP_DIGITS_MAX = 18 };

void checkpoint_path(const char *folder, uint64_t step, char path[CHECKPOINT_PATH_MAX])
{
    snprintf(path, CHECKPOINT_PATH_MAX, "%s/" PREFIX "%08" PRIu64 SUFFIX, folder, step);
}

static bool parse_name(const char *name, uint64_t *step)
{
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0) return false;
    const char *digits = name + strlen(PREFIX);
    size_t count = strspn(digits, "0123456789");
    if (count < STEP_DIGITS_MIN || count > STEP_DIGITS_MAX || strcmp(digits + count, SUFFIX) != 0) return false;
    *step = strtoull(digits, NULL, 10);
    return count == STEP_DIGITS_MIN || digits[0] != '0'; /* otherwise there would be two names for a step */
}

typedef struct {
    uint64_t *steps; /* newest first */
    size_t count;
} step_list;

static int newer_first(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

static vgg_status add_step(step_list *list, uint64_t step)
{
    uint64_t *grown = realloc(list->steps, (list->count + 1) * sizeof *grown);
    if (!grown) return vgg_fail(VGG_UNAVAILABLE, "no memory for the list of checkpoints");
    list->steps = grown;
    list->steps[list->count++] = step;
    return VGG_OK;
}

/* The caller frees list->steps. */
static vgg_status list_steps(const char *folder, step_list *list)
{
    DIR *stream = opendir(folder);
    if (!stream) return vgg_fail_errno(VGG_BAD_CHECKPOINT, "%s: cannot be opened", folder);
    vgg_status status = VGG_OK;
    for (struct dirent *entry; status == VGG_OK && (entry = readdir(stream));) {
        uint64_t step;
        if (parse_name(entry->d_name, &step)) status = add_step(list, step);
    }
    closedir(stream);
    if (list->count) qsort(list->steps, list->count, sizeof *list->steps, newer_first);
    return status;
}

vgg_status checkpoint_list(const char *folder, uint64_t **steps, size_t *count)
{
    step_list list = {0};
    vgg_status status = list_steps(folder, &list);
    if (status != VGG_OK) free(list.steps);
    *steps = status == VGG_OK ? list.steps : NULL;
    *count = status == VGG_OK ? list.count : 0;
    return status;
}

vgg_status checkpoint_find_newest(const char *folder, char path[CHECKPOINT_PATH_MAX])
{
    step_list list = {0};
    vgg_status status = list_steps(folder, &list);
    bool found = false;
    for (size_t i = 0; status == VGG_OK && i < list.count && !found; i++) {
        checkpoint_path(folder, list.steps[i], path);
        vgg_status verified = checkpoint_verify(path, false);
        found = verified == VGG_OK;
        if (verified == VGG_UNAVAILABLE)
            status = verified; /* nothing is wrong with the file */
        else if (!found)
            vgg_log(VGG_LOG_WARNING, "passed over: %s", vgg_message());
    }
    if (status == VGG_OK && !found)
        status = vgg_fail(VGG_BAD_CHECKPOINT, "%s: holds no usable checkpoint (%zu files looked at)", folder, list.count);
    free(list.steps);
    return status;
}

/* What is only named like a checkpoint neither counts nor goes. The header tells, with the size of the file: reading all of each would
 * take longer than to save one. */
static bool has_sound_header(const char *path)
{
    checkpoint_state state;
    bool sound = checkpoint_read_state(path, &state) == VGG_OK;
    checkpoint_state_clear(&state);
    return sound;
}

static bool is_among(uint64_t step, checkpoint_steps steps)
{
    bool found = false;
    for (size_t i = 0; i < steps.count; i++) found |= steps.steps[i] == step;
    return found;
}

/* One that cannot be removed is passed over: the others still can. */
static vgg_status remove_old(const char *folder, const step_list *list, uint32_t keep, const char *spare, checkpoint_steps spared,
                             size_t *passed_over)
{
    vgg_status status = VGG_OK;
    uint32_t sound = 0;
    for (size_t i = 0; i < list->count; i++) {
        char path[CHECKPOINT_PATH_MAX];
        checkpoint_path(folder, list->steps[i], path);
        if (!has_sound_header(path)) {
            ++*passed_over;
            continue;
        }
        bool kept = sound++ < keep || (spare && strcmp(path, spare) == 0) || is_among(list->steps[i], spared);
        if (!kept && unlink(path) != 0 && status == VGG_OK) status = vgg_fail_errno(VGG_IO_ERROR, "%s: cannot be removed", path);
    }
    return status;
}

static vgg_status move_to(const char *aside, const char *path)
{
    char moved[CHECKPOINT_PATH_MAX];
    int length = snprintf(moved, sizeof moved, "%s%s", aside, strrchr(path, '/'));
    if (length >= (int)sizeof moved) return vgg_fail(VGG_IO_ERROR, "%s: name is too long", aside);
    if (rename(path, moved) != 0) return vgg_fail_errno(VGG_IO_ERROR, "%s: cannot be moved into %s", path, aside);
    VGG_TRY(file_sync_folder(moved));
    return file_sync_folder(path);
}

/* One that cannot be read belongs to no step. */
static vgg_status set_best_aside(const char *folder, uint64_t step, const char *aside)
{
    char path[CHECKPOINT_PATH_MAX];
    checkpoint_state state = {0};
    int length = snprintf(path, sizeof path, "%s/best.safetensors", folder);
    bool later = length < (int)sizeof path && checkpoint_read_state(path, &state) == VGG_OK && state.position.step > step;
    checkpoint_state_clear(&state);
    return later ? move_to(aside, path) : VGG_OK;
}

vgg_status checkpoint_set_aside(const char *folder, uint64_t step, const char *aside)
{
    step_list list = {0};
    vgg_status status = list_steps(folder, &list);
    for (size_t i = list.count; status == VGG_OK && i-- > 0;) {
        char path[CHECKPOINT_PATH_MAX];
        checkpoint_path(folder, list.steps[i], path);
        if (list.steps[i] > step) status = move_to(aside, path);
    }
    free(list.steps);
    return status == VGG_OK ? set_best_aside(folder, step, aside) : status;
}

vgg_status checkpoint_prune(const char *folder, uint32_t keep, const char *spare, checkpoint_steps spared, size_t *passed_over)
{
    *passed_over = 0;
    if (keep == 0) return VGG_OK;
    step_list list = {0};
    vgg_status status = list_steps(folder, &list);
    if (status == VGG_OK) status = remove_old(folder, &list, keep, spare, spared, passed_over);
    free(list.steps);
    return status;
}

vgg_status checkpoint_check_room(const char *folder, int count)
{
    struct statvfs facts;
    if (statvfs(folder, &facts) != 0) return VGG_OK; /* writing will tell */
    double needed = (double)count * (double)safetensors_data_bytes(), available = (double)facts.f_bavail * (double)facts.f_frsize;
    if (available >= needed) return VGG_OK;
    return vgg_fail(VGG_IO_ERROR, "%s: there is room for %.0f MB, and %d checkpoints have %.0f MB", folder, available / 1e6, count,
                    needed / 1e6);
}

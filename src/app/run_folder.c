#include "app/run_folder.h"
#include "base/json.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/build_info.h"
#include "app/command.h"
#include "app/run_lock.h"
#include "report/json_file.h"
#include "vgg11/base/file.h"
#include "vgg11/base/log.h"

enum { ATTEMPTS = 1000, TIME_BYTES = 32 };
#define ABANDONED "abandoned" /* folder in a run folder, of what the run does not go on with */

static vgg_status check_folder(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) return vgg_fail_errno(VGG_IO_ERROR, "%s: cannot use as run folder", path);
    if (S_ISDIR(status.st_mode)) return VGG_OK;
    return vgg_fail(VGG_IO_ERROR, "%s: is not a folder; --output expects one", path);
}

/* Found out now rather than at the first checkpoint. */
static vgg_status check_writable(const char *path)
{
    char probe[CHECKPOINT_PATH_MAX + 32];
    file_replacement file;
    snprintf(probe, sizeof probe, "%s/probe", path);
    VGG_TRY(file_replace_begin(probe, &file));
    file_replace_cancel(&file);
    return VGG_OK;
}

/* Another may have been made in the same second. */
static vgg_status make_timed(const char *parent, char *path, size_t bytes)
{
    char when[TIME_BYTES];
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H-%M-%SZ", gmtime_r(&now, &utc));
    VGG_TRY(file_make_folders(parent));
    for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
        bool made;
        snprintf(path, bytes, attempt == 1 ? "%s/%s" : "%s/%s-%d", parent, when, attempt);
        VGG_TRY(file_make_folder(path, &made));
        if (made) return VGG_OK;
    }
    return vgg_fail(VGG_IO_ERROR, "%s: is there already, and so are %d others of that second", path, ATTEMPTS - 1);
}

#define BEST "best.safetensors"

/* Names of files, each list ended by NULL. */
static const char *const checkpoint_names[] = {"checkpoint-*.safetensors", NULL};
static const char *const result_names[] = {BEST, "summary.json", NULL};
static const char *const best_name[] = {BEST, NULL};

/* Is there a file in the folder whose name fits one of the patterns? */
static vgg_status look_for(const char *path, const char *const patterns[], bool *found)
{
    DIR *folder = opendir(path);
    *found = false;
    if (!folder) return vgg_fail_errno(VGG_IO_ERROR, "%s: cannot look into the run folder", path);
    for (const struct dirent *entry; !*found && (entry = readdir(folder));) {
        for (int i = 0; patterns[i] && !*found; i++) *found = fnmatch(patterns[i], entry->d_name, 0) == 0;
    }
    closedir(folder);
    return VGG_OK;
}

static bool has_metrics(const char *path)
{
    char metrics[CHECKPOINT_PATH_MAX + 32];
    struct stat status;
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", path);
    return lstat(metrics, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
}

static bool same_folder(const char *a, const char *b)
{
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* What two runs leave in one folder could not be told apart later, and the second would write over the first's. A run that was refused
 * before its first step leaves no results: config.json, or metrics without a line, are in nobody's way. */
static vgg_status refuse_other_run(const char *path)
{
    bool found;
    VGG_TRY(look_for(path, checkpoint_names, &found));
    if (found)
        return vgg_fail(VGG_BAD_OPTION,
                        "--output %s: holds the checkpoints of another run; go on with it by --resume, or name another folder",
                        path);
    VGG_TRY(look_for(path, result_names, &found));
    if (found || has_metrics(path))
        return vgg_fail(VGG_BAD_OPTION, "--output %s: holds the results of another run; name another folder", path);
    return VGG_OK;
}

/* --resume=auto where there is no checkpoint begins, also over what an attempt left that was ended before its first one. The best
 * weights of a run are more than that. */
static vgg_status refuse_to_lose_best(const char *path)
{
    bool found;
    VGG_TRY(look_for(path, best_name, &found));
    if (!found) return VGG_OK;
    return vgg_fail(VGG_BAD_OPTION,
                    "--resume=auto: %s holds " BEST " and no other checkpoint; go on from it by --resume=%s/" BEST
                    ", or name another folder",
                    path, path);
}

/* The run folder that --resume names, or in which the checkpoint lies that it names. */
static void folder_of(const char *path, char folder[CHECKPOINT_PATH_MAX])
{
    if (file_is_folder(path))
        snprintf(folder, CHECKPOINT_PATH_MAX, "%s", path);
    else
        file_folder_of(path, folder);
}

static vgg_status find_named(const char *path, char found[CHECKPOINT_PATH_MAX])
{
    if (file_is_folder(path)) return checkpoint_find_newest(path, found);
    snprintf(found, CHECKPOINT_PATH_MAX, "%s", path);
    return VGG_OK;
}

typedef struct {
    bool wanted; /* --resume in any form */
    bool automatic;
    bool in_output; /* newest in --output */
} resume_request;

static resume_request read_request(const options *o)
{
    resume_request request = {.wanted = o->resume != NULL};
    request.automatic = o->resume && strcmp(o->resume, "auto") == 0;
    request.in_output = request.automatic || (o->resume && strcmp(o->resume, option_find("resume")->bare) == 0);
    return request;
}

/* Resuming a file or folder goes on in that folder, unless --output says otherwise. */
static vgg_status place(const options *o, resume_request request, run_folder *folder)
{
    if (o->output) {
        snprintf(folder->path, sizeof folder->path, "%s", o->output);
    } else if (request.wanted && !request.in_output) {
        folder_of(o->resume, folder->path);
    } else if (request.wanted) {
        return vgg_fail(VGG_BAD_OPTION,
                        "--resume: expected a run folder or a checkpoint behind it, or the run folder in --output DIR");
    } else {
        return make_timed("runs", folder->path, sizeof folder->path);
    }
    return VGG_OK;
}

/* "checkpoint-00000004.safetensors" and the like; false for another name. */
static bool is_checkpoint_of(const char *path, uint64_t step)
{
    char expected[CHECKPOINT_PATH_MAX];
    checkpoint_path("", step, expected);
    const char *slash = strrchr(path, '/');
    return strcmp(slash ? slash + 1 : path, expected + 1) == 0;
}

static void spare(run_folder *folder, uint64_t step)
{
    for (size_t i = 0; i < folder->spared_count; i++)
        if (folder->spared[i] == step) return;
    if (folder->spared_count == RUN_FOLDER_SPARED_MAX)
        memmove(folder->spared, folder->spared + 1, --folder->spared_count * sizeof *folder->spared);
    folder->spared[folder->spared_count++] = step;
}

/* Those that earlier parts of the run were told to go on from; of later steps none is left. Without them retention would remove what
 * it was told to keep, but a folder whose config.json is gone or damaged has none. */
static vgg_status read_spared(run_folder *folder)
{
    json_t *root, *step;
    VGG_TRY(json_file_read(folder->path, "config.json", &root));
    json_t *steps = json_object_get(root, "spared_steps");
    size_t i;
    json_array_foreach(steps, i, step)
    {
        json_int_t number = json_integer_value(step);
        if (number > 0 && (uint64_t)number <= folder->resume_step) spare(folder, (uint64_t)number);
    }
    json_decref(root);
    return VGG_OK;
}

static vgg_status find_resume(const options *o, resume_request request, run_folder *folder)
{
    if (!request.wanted) return refuse_other_run(folder->path);
    bool found = true, in_folder = true;
    if (request.automatic) VGG_TRY(look_for(folder->path, checkpoint_names, &found));
    if (!found) return refuse_to_lose_best(folder->path);
    if (request.in_output) {
        VGG_TRY(checkpoint_find_newest(folder->path, folder->resume));
    } else {
        char from[CHECKPOINT_PATH_MAX];
        folder_of(o->resume, from);
        in_folder = same_folder(from, folder->path);
        if (!in_folder) VGG_TRY(refuse_other_run(folder->path));
        VGG_TRY(find_named(o->resume, folder->resume));
    }
    checkpoint_state state = {0};
    VGG_TRY(checkpoint_read_state(folder->resume, &state));
    folder->resume_step = state.position.step;
    checkpoint_state_clear(&state);
    VGG_TRY(read_spared(folder));
    bool named = !request.in_output && !file_is_folder(o->resume) && is_checkpoint_of(folder->resume, folder->resume_step);
    if (named && in_folder) spare(folder, folder->resume_step);
    return VGG_OK;
}

/* What interrupted writing left. */
static void tidy(const char *path)
{
    char plots[CHECKPOINT_PATH_MAX + 32];
    snprintf(plots, sizeof plots, "%s/plots", path);
    file_remove_temporaries(path);
    file_remove_temporaries(plots);
}

/* Two: an old one stays until the new one is whole. Others may make room, so that it is no error yet. */
static void check_room(const options *o, const char *path)
{
    bool saves = o->checkpoint_every > 0 || o->checkpoint_steps > 0;
    if (saves && checkpoint_check_room(path, 2) != VGG_OK) vgg_log(VGG_LOG_WARNING, "%s", vgg_message());
}

static vgg_status use_locked(const options *o, resume_request request, run_folder *folder)
{
    VGG_TRY(check_writable(folder->path));
    VGG_TRY(find_resume(o, request, folder));
    tidy(folder->path);
    check_room(o, folder->path);
    return VGG_OK;
}

static vgg_status open_here(const options *o, const char *host, run_folder *folder)
{
    resume_request request = read_request(o);
    if (request.wanted && !request.in_output && access(o->resume, R_OK) != 0) {
        return vgg_fail_errno(VGG_BAD_CHECKPOINT, "--resume=%s: cannot read", o->resume);
    }
    VGG_TRY(place(o, request, folder));
    VGG_TRY(file_make_folders(folder->path));
    VGG_TRY(check_folder(folder->path));
    VGG_TRY(run_lock_take(folder->path, host, &folder->lock));
    vgg_status status = use_locked(o, request, folder);
    if (status != VGG_OK) run_folder_close(folder);
    return status;
}

vgg_status run_folder_open(comm *c, const options *o, run_folder *folder)
{
    bool first = comm_rank(c) == 0;
    memset(folder, 0, sizeof *folder);
    folder->lock = RUN_LOCK_FREE;
    VGG_TRY(comm_agree(c, first ? open_here(o, comm_host(c), folder) : VGG_OK));
    comm_broadcast(c, folder, sizeof *folder, 0);
    if (!first) folder->lock = RUN_LOCK_FREE;
    return VGG_OK;
}

void run_folder_close(run_folder *folder) { run_lock_release(folder->path, &folder->lock); }

vgg_status run_folder_open_aside(const run_folder *folder, char aside[RUN_FOLDER_ASIDE_MAX])
{
    char parent[CHECKPOINT_PATH_MAX + 32];
    snprintf(parent, sizeof parent, "%s/" ABANDONED, folder->path);
    return make_timed(parent, aside, RUN_FOLDER_ASIDE_MAX);
}

void run_folder_close_aside(const run_folder *folder, const char *aside)
{
    char parent[CHECKPOINT_PATH_MAX + 32];
    if (rmdir(aside) != 0)
        vgg_log(VGG_LOG_INFO, "what the run folder had of steps after %" PRIu64 " is set aside in %s", folder->resume_step, aside);
    snprintf(parent, sizeof parent, "%s/" ABANDONED, folder->path);
    rmdir(parent); /* succeeds if it is empty */
}

/* NULL without memory. */
static json_t *spared_json(const run_folder *folder)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < folder->spared_count; i++) json_list_add(&steps, json_integer((json_int_t)folder->spared[i]));
    return steps;
}

vgg_status run_folder_write_config(const run_folder *folder, const options *o, const run_start_event *start,
                                   const char *provenance_json)
{
    char path[CHECKPOINT_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/config.json", folder->path);
    char *text = options_json(o, SCOPE_RUN);
    json_t *root = json_pack("{s:s, s:s, s:i, s:i, s:s*, s:s*, s:o, s:o, s:o}", "version", VGG11_VERSION, "command",
                             o->command->name, "ranks", start->ranks, "threads", start->threads, "exchange", start->exchange,
                             "algorithms", start->algorithms, "spared_steps", spared_json(folder), "provenance",
                             json_parse_text(provenance_json), "options", text ? json_parse_text(text) : NULL);
    free(text);
    text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(root);
    vgg_status status = text ? file_replace_text(path, text, strlen(text))
                             : vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory", path);
    free(text);
    return status;
}

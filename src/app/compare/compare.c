#include "app/compare/compare.h"

#include <inttypes.h>
#include <string.h>

#include "app/compare/facts.h"
#include "vgg11/base/log.h"

bool compare_metrics_differ(const comparison *c) { return c->metrics.step > 0; }

bool compare_tensors_differ(const comparison *c) { return c->tensors.weights.tensors + c->tensors.velocity.tensors > 0; }

bool compare_differs(const comparison *c) { return compare_metrics_differ(c) || compare_tensors_differ(c); }

static vgg_status compare_metrics(comparison *c)
{
    char paths[2][COMPARE_PATH_MAX];
    c->has_metrics = c->sides[0].metrics && c->sides[1].metrics;
    if (!c->has_metrics) return VGG_OK;
    for (int i = 0; i < 2; i++) compare_side_file(&c->sides[i], "metrics.jsonl", paths[i]);
    return metrics_compare((const char *const[2]){paths[0], paths[1]}, &c->metrics);
}

/* Of the newest pair only: a run may have been resumed with other ranks or algorithms. */
static vgg_status keep_headers(comparison *c, const checkpoint_state states[2])
{
    bool whole = true;
    for (int i = 0; i < 2; i++) {
        json_decref(c->headers[i]);
        c->headers[i] = json_object();
        whole = whole && c->headers[i] && compare_facts_of_header(&states[i], c->headers[i]);
        c->steps[i] = states[i].position.step;
    }
    return whole ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "not enough memory to compare checkpoints");
}

static vgg_status compare_pair(comparison *c, uint64_t step)
{
    char paths[2][CHECKPOINT_PATH_MAX];
    checkpoint_state states[2];
    for (int i = 0; i < 2; i++) compare_side_checkpoint(&c->sides[i], step, paths[i]);
    vgg_status status = checkpoint_compare((const char *const[2]){paths[0], paths[1]}, states, &c->tensors);
    if (status == VGG_OK) {
        c->checkpoints++;
        status = keep_headers(c, states);
    }
    for (int i = 0; i < 2; i++) checkpoint_state_clear(&states[i]);
    return status;
}

/* One damaged file of a run does not keep its others from being compared; but then it is not said that all is the same. */
static vgg_status pass_over(comparison *c, vgg_status status)
{
    if (status != VGG_BAD_CHECKPOINT && status != VGG_IO_ERROR) return status;
    vgg_log(VGG_LOG_WARNING, "passed over: %s", vgg_message());
    if (c->passed_over++ > 0) return VGG_OK;
    c->passed_over_why = status;
    c->passed_over_message = vgg_keep_message();
    return VGG_OK;
}

static vgg_status compare_folders(comparison *c)
{
    const compare_side *sides = c->sides;
    for (size_t i = 0; i < sides[0].count && !compare_tensors_differ(c); i++) {
        uint64_t step = sides[0].steps[i];
        vgg_status status = compare_side_has(&sides[1], step) ? compare_pair(c, step) : VGG_OK;
        if (status != VGG_OK) VGG_TRY(pass_over(c, status));
    }
    return VGG_OK;
}

/* A checkpoint is compared with that of its step, or with whatever other checkpoint is named. */
static vgg_status compare_named(comparison *c)
{
    const compare_side *named = &c->sides[c->sides[0].folder], *other = &c->sides[!c->sides[0].folder];
    uint64_t step = named->steps[0];
    if (other->folder && !compare_side_has(other, step))
        return vgg_fail(VGG_BAD_CHECKPOINT, "%s: has no checkpoint of step %" PRIu64 ", which %s is of", other->path, step,
                        named->path);
    return compare_pair(c, step);
}

/* False without memory, of which json_object_update_missing() says nothing. */
static bool add_missing(json_t *facts, const json_t *more)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)more, name, value)
    {
        if (!json_object_get(facts, name) && json_object_set(facts, name, value) != 0) return false;
    }
    return true;
}

/* What is known of the very step that differs comes before what is known of a checkpoint, and that before what the folder says of the last
 * process of the run: a run may go on with other ranks. */
static bool gather_facts(const comparison *c, int i, json_t *facts)
{
    bool starts = c->metrics.starts[0] && c->metrics.starts[1], folders = c->sides[0].folder && c->sides[1].folder;
    return facts && (!starts || compare_facts_of_start(c->metrics.starts[i], facts)) &&
           (c->checkpoints == 0 || add_missing(facts, c->headers[i])) && (!folders || compare_facts_of_folder(&c->sides[i], facts));
}

static vgg_status find_causes(comparison *c)
{
    bool in_evaluation = compare_metrics_differ(c) && metrics_is_evaluated(c->metrics.first) && !compare_tensors_differ(c);
    bool whole = true;
    for (int i = 0; i < 2; i++) {
        c->facts[i] = json_object();
        whole = whole && gather_facts(c, i, c->facts[i]);
    }
    if (!whole) return vgg_fail(VGG_UNAVAILABLE, "not enough memory to list what differs");
    return causes_find(&c->causes, c->facts, in_evaluation);
}

vgg_status compare_open(const char *const paths[2], comparison *c)
{
    memset(c, 0, sizeof *c);
    for (int i = 0; i < 2; i++) VGG_TRY(compare_side_open(paths[i], &c->sides[i]));
    VGG_TRY(compare_metrics(c));
    VGG_TRY(c->sides[0].folder && c->sides[1].folder ? compare_folders(c) : compare_named(c));
    if (c->metrics.common.count == 0 && c->checkpoints + c->passed_over == 0)
        return vgg_fail(VGG_BAD_CHECKPOINT, "%s and %s have no step and no checkpoint in common", paths[0], paths[1]);
    return find_causes(c);
}

void compare_close(comparison *c)
{
    causes_free(&c->causes);
    metrics_comparison_clear(&c->metrics);
    for (int i = 0; i < 2; i++) {
        json_decref(c->headers[i]);
        json_decref(c->facts[i]);
        compare_side_close(&c->sides[i]);
    }
}

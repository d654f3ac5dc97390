/* A run that goes on takes from its checkpoint what describes the training. */
#include <stdlib.h>
#include <string.h>

#include "app/command.h"
#include "app/options/assignment.h"
#include "app/options/value.h"
#include "vgg11/base/log.h"

static bool holds_text(const option_row *row) { return row->type == OPTION_CHOICE || row->type == OPTION_TEXT; }

static char **text_of(options *o, const option_row *row) { return (char **)((char *)o + row->offset); }

/* `to` is cleared in any case. The words of the command line stay those of `from`. */
static vgg_status copy(const options *from, options *to)
{
    *to = *from;
    to->words = NULL;
    bool complete = true;
    for (const option_row *row = option_table; row->name; row++) {
        char **text = holds_text(row) ? text_of(to, row) : NULL;
        if (!text || !*text) continue;
        *text = strdup(*text);
        complete = complete && *text;
    }
    return complete ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "not enough memory for the options");
}

typedef struct {
    char text[VGG_MESSAGE_MAX];
    size_t used;
} change_list;

/* "--lr 0.01 (was 0.05)", if it is another. A value from the file that could not be set differs from any. */
static vgg_status note_change(const options *o, const assignment *item, change_list *changes)
{
    options before = {.command = o->command};
    char was[OPTION_TEXT_MAX] = "", is[OPTION_TEXT_MAX], shown[2][OPTION_SHOWN_BYTES];
    vgg_status status = option_set(&before, item->row, item->value, item->where);
    if (status == VGG_UNAVAILABLE) return status;
    if (status == VGG_OK) option_value_text(&before, item->row, was);
    option_value_text(o, item->row, is);
    size_t room = sizeof changes->text - changes->used;
    if (strcmp(was, is) != 0 && room > 1) {
        int length = snprintf(changes->text + changes->used, room, "%s--%s %s (was %s)", changes->used ? ", " : "", item->row->name,
                              option_shown(is, shown[0]), option_shown(was, shown[1]));
        changes->used += length < (int)room ? (size_t)length : room - 1;
    }
    options_clear(&before);
    return VGG_OK;
}

static vgg_status take(options *o, const assignment *item)
{
    vgg_status status = option_set(o, item->row, item->value, item->where);
    if (status != VGG_BAD_OPTION) return status;
    return vgg_fail(VGG_BAD_CHECKPOINT, "%s; name --%s to pass it over", vgg_message(), item->row->name);
}

/* The rate is that of the file or, where it has none, follows from the file's batch. */
static vgg_status take_all(const assignment_list *list, options *o, change_list *changes)
{
    if (!options_given(o, offsetof(options, lr))) o->lr = 0;
    for (size_t i = 0; i < list->count; i++) {
        const assignment *item = &list->items[i];
        if (!options_given(o, item->row->offset)) VGG_TRY(take(o, item));
    }
    option_derive_rate(o);
    for (size_t i = 0; i < list->count; i++) {
        const assignment *item = &list->items[i];
        if (options_given(o, item->row->offset)) VGG_TRY(note_change(o, item, changes));
    }
    return VGG_OK;
}

vgg_status options_resume(const options *o, const char *path, const char *config_json, options *resumed)
{
    assignment_list list = {0};
    change_list changes = {.used = 0};
    vgg_status status = copy(o, resumed);
    if (status == VGG_OK && config_json) {
        status = option_training_read(path, *config_json ? config_json : "{}", o->command->bit, &list);
        if (status == VGG_OK) status = take_all(&list, resumed, &changes);
    }
    assignment_free(&list);
    if (status == VGG_OK && changes.used > 0) vgg_log(VGG_LOG_INFO, "goes on otherwise than before: %s", changes.text);
    return status;
}

/* Configuration files. */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/options/assignment.h"
#include "app/options/value.h"
#include "base/json.h"
#include "vgg11/base/file.h"
#include "vgg11/base/log.h"

enum { FILE_MAX_BYTES = 1 << 16, WHERE_BYTES = OPTION_TEXT_MAX + 128 };

/* The whole file with a final NUL, for free(). */
static vgg_status read_file(const char *path, char **out)
{
    int descriptor;
    if (file_open_to_read(path, &descriptor) != VGG_OK) return vgg_fail(VGG_BAD_OPTION, "--config %s", vgg_message());
    FILE *file = fdopen(descriptor, "r");
    if (!file) {
        close(descriptor);
        return vgg_fail_errno(VGG_UNAVAILABLE, "--config %s: cannot read", path);
    }
    char *text = malloc(FILE_MAX_BYTES + 1);
    size_t length = text ? fread(text, 1, FILE_MAX_BYTES + 1, file) : 0;
    bool failed = ferror(file);
    fclose(file);
    if (!text) return vgg_fail(VGG_UNAVAILABLE, "--config %s: not enough memory to read it", path);
    vgg_status status = VGG_OK;
    if (failed)
        status = vgg_fail(VGG_BAD_OPTION, "--config %s: cannot read; expected a text file", path);
    else if (length > FILE_MAX_BYTES)
        status = vgg_fail(VGG_BAD_OPTION, "--config %s: longer than 64 KiB; expected lines `name = value`", path);
    else
        text[length] = '\0';
    if (status == VGG_OK && strlen(text) != length)
        status = vgg_fail(VGG_BAD_OPTION, "--config %s: holds a zero byte; expected a text file", path);
    if (status != VGG_OK)
        free(text);
    else
        *out = text;
    return status;
}

/* A file cannot read another, nor ask for help. */
static bool belongs_in_file(const option_row *row)
{
    return row && strcmp(row->name, "config") != 0 && strcmp(row->name, "help") != 0 && strcmp(row->name, "version") != 0;
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text)) text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1])) text[--length] = '\0';
    return text;
}

static vgg_status add(assignment_list *list, const char *where, const char *name, const char *value)
{
    const option_row *row = option_find(name);
    if (!belongs_in_file(row)) return option_unknown(where, name);
    char place[WHERE_BYTES];
    snprintf(place, sizeof place, "%s%s", where, name);
    return assignment_add(list, row, value, place);
}

static vgg_status read_lines(const char *path, char *text, assignment_list *list)
{
    char where[WHERE_BYTES];
    for (int number = 1; text; number++) {
        char *line = strsep(&text, "\n");
        line = trim(line);
        if (*line == '\0' || *line == '#') continue;
        snprintf(where, sizeof where, "%.3900s:%d: ", path, number);
        char *equals = strchr(line, '='), shown[OPTION_SHOWN_BYTES];
        if (!equals) return vgg_fail(VGG_BAD_OPTION, "%s'%s': expected `name = value`", where, option_shown(line, shown));
        *equals = '\0';
        VGG_TRY(add(list, where, trim(line), trim(equals + 1)));
    }
    return VGG_OK;
}

/* A JSON value as a user would write it after the option's name; false if it is no single value. */
static bool plain_text(const json_t *value, char text[OPTION_TEXT_MAX])
{
    if (json_is_boolean(value))
        strcpy(text, json_is_true(value) ? "true" : "false");
    else if (json_is_integer(value))
        snprintf(text, OPTION_TEXT_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(text, OPTION_TEXT_MAX, "%.17g", json_real_value(value));
    else if (json_is_string(value) && json_string_length(value) < OPTION_TEXT_MAX)
        strcpy(text, json_string_value(value));
    else
        return false;
    return true;
}

/* Of an option that says, for one call, where to write or what to go on from. */
static bool names_a_place(const option_row *row) { return row && row->type == OPTION_TEXT && row->scope == SCOPE_CALL; }

static void pass_over(assignment_list *list, const option_row *row)
{
    size_t used = strlen(list->passed_over), room = sizeof list->passed_over - used;
    snprintf(list->passed_over + used, room, "%s%s", used ? ", " : "", row->name);
}

static vgg_status read_object(const char *path, const json_t *object, assignment_list *list)
{
    char where[WHERE_BYTES], text[OPTION_TEXT_MAX];
    snprintf(where, sizeof where, "%.3900s: ", path);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        const option_row *row = option_find(name);
        if (json_is_null(value)) continue;
        if (belongs_in_file(row) && names_a_place(row)) {
            pass_over(list, row);
            continue;
        }
        if (!plain_text(value, text)) return vgg_fail(VGG_BAD_OPTION, "%s\"%.40s\": expected a single value", where, name);
        VGG_TRY(add(list, where, name, text));
    }
    return VGG_OK;
}

/* An earlier version wrote what a run did, and left out what it did not know yet. */
static vgg_status add_unsaid(const char *path, unsigned commands, assignment_list *list)
{
    vgg_status status = VGG_OK;
    for (const option_row *row = option_table; row->name && status == VGG_OK; row++) {
        if (row->unsaid && (row->commands & commands) && !assignment_last(list, row->name))
            status = assignment_add(list, row, row->unsaid, path);
    }
    return status;
}

static vgg_status read_json(const char *path, const char *text, assignment_list *list)
{
    json_error_t error;
    errno = 0;
    json_t *root = json_parse(text, strlen(text), JSON_REJECT_DUPLICATES, &error);
    if (!root && errno == ENOMEM) return vgg_fail(VGG_UNAVAILABLE, "--config %.900s: not enough memory to read it", path);
    if (!root) return vgg_fail(VGG_BAD_OPTION, "--config %.900s: line %d is not JSON: %s", path, error.line, error.text);
    const json_t *inner = json_object_get(root, "options");
    vgg_status status = read_object(path, json_is_object(inner) ? inner : root, list);
    if (status == VGG_OK && json_is_object(inner)) status = add_unsaid(path, ~0u, list);
    json_decref(root);
    return status;
}

vgg_status option_file_read(const char *path, assignment_list *list)
{
    char *text = NULL;
    VGG_TRY(read_file(path, &text));
    char *first = text + strspn(text, " \t\r\n");
    vgg_status status = *first == '{' ? read_json(path, text, list) : read_lines(path, text, list);
    free(text);
    return status;
}

void options_tell(const options *o)
{
    if (*o->passed_over)
        vgg_log(VGG_LOG_WARNING, "%s: a run's own file may not say where files are; passed over: %s", o->config, o->passed_over);
}

vgg_status option_training_read(const char *path, const char *text, unsigned command, assignment_list *list)
{
    char where[WHERE_BYTES], written[OPTION_TEXT_MAX];
    json_error_t error;
    errno = 0;
    json_t *root = json_parse(text, strlen(text), JSON_REJECT_DUPLICATES, &error), *value;
    if (!root && errno == ENOMEM) return vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory to read its options", path);
    vgg_status status = json_is_object(root) ? VGG_OK : vgg_fail(VGG_BAD_CHECKPOINT, "%s: its options are no JSON object", path);
    const char *name;
    json_object_foreach(root, name, value)
    {
        const option_row *row = option_find(name);
        bool wanted = row && row->scope == SCOPE_TRAINING && (row->commands & command) && !json_is_null(value);
        if (!wanted || status != VGG_OK) continue;
        snprintf(where, sizeof where, "%.3900s: %s", path, row->name);
        if (plain_text(value, written))
            status = assignment_add(list, row, written, where);
        else
            status = vgg_fail(VGG_BAD_CHECKPOINT, "%s: expected a single value", where);
    }
    if (status == VGG_OK) status = add_unsaid(path, command, list);
    json_decref(root);
    return status;
}

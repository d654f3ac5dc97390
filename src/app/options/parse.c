/* The command line. */
#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "app/options/assignment.h"
#include "app/options/value.h"
#include "app/options/preset.h"
#include "app/command.h"

enum { KEY_FIRST = 256, PRESET_DEPTH_MAX = 4, WHERE_BYTES = 64 };

typedef struct {
    assignment_list list;
    options *options;
    int stop; /* where argp stopped, if it met an option it does not know */
    vgg_status status;
} command_line;

/* The row of an option's key or letter; NULL for what is neither. */
static const option_row *row_of(int key)
{
    if (key >= KEY_FIRST && key < KEY_FIRST + OPTION_ROWS_MAX) return &option_table[key - KEY_FIRST];
    const option_row *row = option_table;
    while (row->name && (!row->letter || row->letter != key)) row++;
    return row->name ? row : NULL;
}

static error_t take(int key, char *value, struct argp_state *state)
{
    command_line *line = state->input;
    if (key == ARGP_KEY_ARG) {
        line->options->arguments[line->options->argument_count++] = value;
        return 0;
    }
    if (key == ARGP_KEY_ERROR) line->stop = state->next;
    const option_row *row = row_of(key);
    if (!row) return ARGP_ERR_UNKNOWN;
    bool follows = !value && row->bare && row->type == OPTION_TEXT && state->next < state->argc && *state->argv[state->next] != '-';
    if (follows) value = state->argv[state->next++]; /* argp takes such a value behind '=' only */
    char where[WHERE_BYTES];
    snprintf(where, sizeof where, "--%s", row->name);
    const char *otherwise = row->type == OPTION_FLAG ? "true" : row->bare;
    line->status = assignment_add(&line->list, row, value ? value : otherwise, where);
    return line->status == VGG_OK ? 0 : ENOMEM;
}

enum { DESCRIBED_MAX = 3 * OPTION_ROWS_MAX + 1 };

/* argp's own view of the table, in which former names are options of the same key, and letters options of their own. */
static void describe_options(struct argp_option described[DESCRIBED_MAX])
{
    memset(described, 0, DESCRIBED_MAX * sizeof *described);
    for (int i = 0; option_table[i].name; i++) {
        const option_row *row = &option_table[i];
        const char *names[] = {row->name, row->former_name};
        if (row->letter) *described++ = (struct argp_option){.key = row->letter};
        for (int j = 0; j < 2 && names[j]; j++)
            *described++ = (struct argp_option){
                .name = names[j], .key = KEY_FIRST + i, .arg = row->argument, .flags = row->bare ? OPTION_ARG_OPTIONAL : 0};
    }
}

/* Names that begin with the `length` bytes at `name`, and one of them. */
static int count_beginnings(const char *name, size_t length, const option_row **found)
{
    int count = 0;
    for (const option_row *row = option_table; row->name; row++) {
        const char *names[] = {row->name, row->former_name};
        for (int i = 0; i < 2 && names[i]; i++) {
            if (strncmp(names[i], name, length) != 0) continue;
            *found = row;
            if (strlen(names[i]) == length) return 1;
            count++;
        }
    }
    return count;
}

/* What is wrong with a word that argp refused. Its own messages are two lines, from each rank. */
static vgg_status explain(const char *word)
{
    char shown[OPTION_SHOWN_BYTES], name[OPTION_SHOWN_BYTES];
    if (strncmp(word, "--", 2) != 0) {
        return vgg_fail(VGG_BAD_OPTION, "unknown option '%s'; vgg11_dist --help lists them", option_shown(word, shown));
    }
    word += 2;
    size_t length = strcspn(word, "=");
    const option_row *row = NULL;
    int count = count_beginnings(word, length, &row);
    snprintf(name, sizeof name, "%.*s", length < sizeof name ? (int)length : (int)sizeof name - 1, word);
    if (count == 0) return option_unknown("", name);
    if (count > 1) {
        return vgg_fail(VGG_BAD_OPTION, "--%s: begins several options; write one in full, e.g. --%s", name, row->name);
    }
    if (!row->argument) return vgg_fail(VGG_BAD_OPTION, "--%s: takes no value", row->name);
    char expected[VGG_MESSAGE_MAX / 2];
    option_expected(row, expected, sizeof expected);
    return vgg_fail(VGG_BAD_OPTION, "--%s: a value is missing: expected %s", row->name, expected);
}

static vgg_status collect(int argc, char **argv, command_line *line)
{
    struct argp_option described[DESCRIBED_MAX];
    describe_options(described);
    const struct argp grammar = {.options = described, .parser = take};
    error_t failed = argp_parse(&grammar, argc, argv, ARGP_SILENT, NULL, line);
    if (line->status != VGG_OK) return line->status;
    if (!failed) return VGG_OK;
    if (line->stop < 1) return vgg_fail(VGG_UNAVAILABLE, "not enough memory to read the options");
    /* argp points behind the word, or at it if it is a cluster of letters. */
    const char *after = line->stop < argc ? argv[line->stop] : "";
    bool cluster = *after == '-' && strncmp(after, "--", 2) != 0 && strlen(after) > 2;
    return explain(cluster ? after : argv[line->stop - 1]);
}

static vgg_status choose_command(options *o)
{
    o->command = &command_table[0];
    o->general = o->argument_count == 0;
    if (o->general) return VGG_OK;
    o->command = command_find(o->arguments[0]);
    if (!o->command) {
        char names[VGG_MESSAGE_MAX / 2] = "", shown[OPTION_SHOWN_BYTES];
        for (const command_row *row = command_table; row->name; row++) {
            strcat(strcat(names, row == command_table ? "" : ", "), row->name);
        }
        o->command = &command_table[0];
        return vgg_fail(VGG_BAD_OPTION, "unknown command '%s': expected one of %s; vgg11_dist --help says more",
                        option_shown(o->arguments[0], shown), names);
    }
    o->arguments++;
    o->argument_count--;
    return VGG_OK;
}

static vgg_status check_arguments(const options *o)
{
    char shown[OPTION_SHOWN_BYTES];
    const command_row *command = o->command;
    if (o->argument_count > command->most) {
        return vgg_fail(VGG_BAD_OPTION, "'%s': %s takes %s", option_shown(o->arguments[command->most], shown), command->name,
                        command->arguments ? command->arguments : "options alone");
    }
    if (o->argument_count < command->least) {
        return vgg_fail(VGG_BAD_OPTION, "%s: expected %s", command->name, command->arguments);
    }
    for (int i = 0; i < o->argument_count; i++) {
        vgg_status status = option_check_text(o->arguments[i]);
        if (status == VGG_UNAVAILABLE) return vgg_fail(status, "not enough memory to read the arguments");
        if (status != VGG_OK)
            return vgg_fail(status, "%s '%s': expected one line of UTF-8", command->name, option_shown(o->arguments[i], shown));
    }
    return VGG_OK;
}

static vgg_status set_given(options *o, const option_row *row, const char *value, const char *where)
{
    o->given[row - option_table] = true;
    return option_set(o, row, value, where);
}

static const preset *find_preset(const char *name)
{
    const preset *row = presets;
    while (row->name && strcmp(row->name, name) != 0) row++;
    return row;
}

/* An unknown name changes nothing here: it is refused when the option itself is set. */
static vgg_status apply_preset(options *o, const char *name, int depth)
{
    if (!name || depth > PRESET_DEPTH_MAX) return VGG_OK;
    const preset_setting *setting = find_preset(name)->settings, *end = setting + PRESET_SETTINGS_MAX;
    for (; setting < end && setting->option; setting++) {
        if (strcmp(setting->option, "preset") == 0)
            VGG_TRY(apply_preset(o, setting->value, depth + 1));
        else
            VGG_TRY(set_given(o, option_find(setting->option), setting->value, setting->option));
    }
    return VGG_OK;
}

/* `strict`: an option that the command does not take is an error; in a file, which commands may share, it is passed
 * over. */
static vgg_status apply(options *o, const assignment_list *list, bool strict)
{
    for (size_t i = 0; i < list->count; i++) {
        const assignment *item = &list->items[i];
        if (item->row->commands & o->command->bit)
            VGG_TRY(set_given(o, item->row, item->value, item->where));
        else if (strict)
            return vgg_fail(VGG_BAD_OPTION, "%s: not an option of %s; vgg11_dist %s --help lists them", item->where,
                            o->command->name, o->command->name);
    }
    return VGG_OK;
}

static vgg_status set_defaults(options *o)
{
    for (const option_row *row = option_table; row->name; row++) {
        if (row->fallback) VGG_TRY(option_set(o, row, row->fallback, row->name));
    }
    return VGG_OK;
}

static vgg_status apply_all(options *o, const assignment_list *line, assignment_list *file)
{
    const char *config = assignment_last(line, "config");
    if (config) VGG_TRY(option_file_read(config, file));
    const char *name = assignment_last(line, "preset");
    if (!name) name = assignment_last(file, "preset");
    if (o->command->bit & option_find("preset")->commands) VGG_TRY(apply_preset(o, name, 0));
    VGG_TRY(apply(o, file, false));
    VGG_TRY(apply(o, line, true));
    option_derive_rate(o);
    if (o->retune && o->no_tune)
        return vgg_fail(VGG_BAD_OPTION, "--retune: nothing is timed with --no-tune; leave out one of them");
    return options_trace_steps(o, &(uint64_t){0}, &(uint64_t){0});
}

vgg_status options_parse(int argc, char **argv, options *o)
{
    memset(o, 0, sizeof *o);
    o->command = &command_table[0];
    o->words = o->arguments = calloc((size_t)argc + 1, sizeof *o->arguments);
    if (!o->words) return vgg_fail(VGG_UNAVAILABLE, "not enough memory to read the options");
    command_line line = {.options = o};
    assignment_list file = {0};
    vgg_status status = collect(argc, argv, &line);
    if (status == VGG_OK) status = choose_command(o);
    const char *help = assignment_last(&line.list, "help");
    if (status == VGG_OK && help) status = option_set(o, option_find("help"), help, "--help");
    o->version = assignment_last(&line.list, "version") != NULL;
    bool runs = status == VGG_OK && !o->help && !o->version;
    if (runs) status = set_defaults(o);
    if (runs && status == VGG_OK) status = apply_all(o, &line.list, &file);
    if (runs && status == VGG_OK) status = check_arguments(o);
    strcpy(o->passed_over, file.passed_over);
    assignment_free(&line.list);
    assignment_free(&file);
    return status;
}

void options_clear(options *o)
{
    for (const option_row *row = option_table; row->name; row++) {
        if (row->type == OPTION_CHOICE || row->type == OPTION_TEXT) free(*(char **)((char *)o + row->offset));
    }
    free(o->words);
    memset(o, 0, sizeof *o);
}

bool options_given(const options *o, size_t offset)
{
    for (const option_row *row = option_table; row->name; row++) {
        if (row->offset == offset) return o->given[row - option_table];
    }
    return false;
}

/* --help, from the tables. */
#include <string.h>

#include "app/command.h"
#include "app/options/help.h"

enum { COLUMN_TEXT = 26, COLUMN_END = 80, LINE_BYTES = 256, TEXT_BYTES = 1024 };

/* Prints words of `text` from `column` on, breaking before `end`; the cursor stands at `at`. */
static void print_wrapped(FILE *out, const char *text, int at, int column)
{
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (at > column && at + 1 + length > COLUMN_END) {
            fputc('\n', out);
            at = 0;
        } else if (at > column) {
            fputc(' ', out);
            at++;
        }
        if (at < column) at += fprintf(out, "%*s", column - at, "");
        at += fprintf(out, "%.*s", length, text);
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

/* Good-when texts begin in one column behind the longest name. */
static void print_choices(const option_row *row, FILE *out)
{
    option_choice choice;
    int longest = 0;
    for (size_t i = 0; row->choices(i, &choice); i++) {
        if ((int)strlen(choice.name) > longest) longest = (int)strlen(choice.name);
    }
    for (size_t i = 0; row->choices(i, &choice); i++) {
        int at = fprintf(out, "%*s%s", COLUMN_TEXT + 2, "", choice.name);
        print_wrapped(out, choice.good_when, at, COLUMN_TEXT + 2 + longest + 2);
    }
}

/* "  -x, --name VALUE" */
static const char *option_head(const option_row *row, char head[LINE_BYTES])
{
    const char *form = !row->argument ? "--%s" : row->bare ? "--%s [%s]" : "--%s %s";
    int used = row->letter ? snprintf(head, LINE_BYTES, "  -%c, ", row->letter) : snprintf(head, LINE_BYTES, "  ");
    snprintf(head + used, LINE_BYTES - (size_t)used, form, row->name, row->argument);
    return head;
}

static void print_option(const option_row *row, FILE *out)
{
    char text[TEXT_BYTES];
    snprintf(text, sizeof text, row->fallback ? "%s (default %s)" : "%s", row->help, row->fallback);
    char head[LINE_BYTES];
    int at = fprintf(out, "%s", option_head(row, head));
    if (at >= COLUMN_TEXT) {
        fputc('\n', out);
        at = 0;
    }
    print_wrapped(out, text, at, COLUMN_TEXT);
    if (row->choices) print_choices(row, out);
}

static void print_group(unsigned commands, int group, FILE *out)
{
    bool titled = false;
    for (const option_row *row = option_table; row->name; row++) {
        if (row->group != group || !(row->commands & commands)) continue;
        if (!titled) fprintf(out, "\n%s:\n", option_groups[group]);
        titled = true;
        print_option(row, out);
    }
}

static void print_commands(FILE *out)
{
    fputs("\nCommands (COMMAND --help lists its own options):\n", out);
    for (const command_row *row = command_table; row->name; row++) {
        int at = fprintf(out, "  %s", row->name);
        print_wrapped(out, row->summary, at, COLUMN_TEXT);
    }
}

static void print_statuses(FILE *out)
{
    fputs("\nExit status:\n", out);
#define PRINT_STATUS(symbol, code, text) \
    if (symbol != VGG_DECLINED) fprintf(out, "  %2d  %s\n", code, text);
    VGG_STATUS_LIST(PRINT_STATUS)
#undef PRINT_STATUS
}

const char help_purpose[] = "Trains VGG11 on MNIST, resized to 32x32, on CPUs, by synchronous data parallelism over MPI.\n"
                            "Runs under mpirun or srun on any number of ranks, or alone.\n";

const help_example help_examples[] = {
    {"mpirun -np 8 vgg11_dist", "train on the MNIST that comes along"},
    {"vgg11_dist --resume runs/2026-01-31T12-00-00Z", "go on with that run"},
    {"vgg11_dist eval --checkpoint RUN/best.safetensors", "test what it has learnt"},
    {"vgg11_dist predict --checkpoint RUN/best.safetensors seven.png", ""},
    {NULL, NULL},
};

static void print_examples(FILE *out)
{
    fputs("\nExamples:\n", out);
    for (const help_example *example = help_examples; example->command; example++)
        fprintf(out, *example->does ? "  %-49s  %s\n" : "  %s\n", example->command, example->does);
}

/* Up to what only explains it further. */
static int gist_length(const char *help)
{
    size_t length = strcspn(help, ";:(,");
    const char *sentence = strstr(help, ". ");
    if (sentence && (size_t)(sentence - help) < length) length = (size_t)(sentence - help);
    return (int)length;
}

/* A line each, without the choices. */
static void print_common_options(FILE *out)
{
    fputs("\nWhat people need first:\n", out);
    for (const option_row *row = option_table; row->name; row++) {
        if (!row->common) continue;
        char head[LINE_BYTES];
        int at = fprintf(out, "%s", option_head(row, head));
        fprintf(out, "%*s%.*s\n", at < COLUMN_TEXT ? COLUMN_TEXT - at : 1, "", gist_length(row->help), row->help);
    }
    fputs("\nvgg11_dist COMMAND --help lists all options of a command, --help=all those of all.\n", out);
}

static void print_all(const options *o, FILE *out)
{
    unsigned commands = strcmp(o->help, "all") == 0 ? COMMAND_ALL : o->command->bit;
    for (int group = 0; option_groups[group]; group++) print_group(commands, group, out);
    print_statuses(out);
}

static void print_screen(const options *o, FILE *out)
{
    const command_row *command = o->command;
    bool general = o->general;
    fprintf(out, "Usage: vgg11_dist %s [OPTION...]%s%s\n", general ? "[COMMAND]" : command->name, command->arguments ? " " : "",
            command->arguments ? command->arguments : "");
    fputs(help_purpose, out);
    if (general)
        print_examples(out), print_commands(out);
    else
        fprintf(out, "\n%s: %s\n", command->name, command->summary);
    if (!general && command->more) print_wrapped(out, command->more, 0, 0);
    if (general && strcmp(o->help, "all") != 0)
        print_common_options(out);
    else
        print_all(o, out);
}

void options_print_help(const options *o, FILE *out)
{
    if (strcmp(o->help, "man") == 0)
        help_print_man(out);
    else if (strcmp(o->help, "bash") == 0)
        help_print_bash(out);
    else
        print_screen(o, out);
}

/* --help, from the tables. */
#include <string.h>

#include "app/command.h"

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

static void print_option(const option_row *row, FILE *out)
{
    char text[TEXT_BYTES];
    snprintf(text, sizeof text, row->fallback ? "%s (default %s)" : "%s", row->help, row->fallback);
    const char *form = !row->argument ? "  --%s" : row->bare ? "  --%s [%s]" : "  --%s %s";
    char head[LINE_BYTES];
    snprintf(head, sizeof head, form, row->name, row->argument);
    int at = fprintf(out, "%s", head);
    if (at >= COLUMN_TEXT) {
        fputc('\n', out);
        at = 0;
    }
    print_wrapped(out, text, at, COLUMN_TEXT);
    if (row->choices) print_choices(row, out);
}

static void print_group(const options *o, int group, FILE *out)
{
    bool titled = false;
    for (const option_row *row = option_table; row->name; row++) {
        if (row->group != group || !(row->commands & o->command->bit)) continue;
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

void options_print_help(const options *o, FILE *out)
{
    const command_row *command = o->command;
    bool general = command == command_table;
    fprintf(out, "Usage: vgg11_dist %s [OPTION...]%s%s\n", general ? "[COMMAND]" : command->name, command->arguments ? " " : "",
            command->arguments ? command->arguments : "");
    fputs("Trains VGG11 on MNIST, resized to 32x32, on CPUs, by synchronous data parallelism over MPI.\n"
          "Runs under mpirun or srun on any number of ranks, or alone.\n",
          out);
    if (general)
        print_commands(out);
    else
        fprintf(out, "\n%s: %s\n", command->name, command->summary);
    for (int group = 0; option_groups[group]; group++) print_group(o, group, out);
    print_statuses(out);
}

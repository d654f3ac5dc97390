/* --help=man: the same tables as a page for man(1). */
#include <string.h>

#include "app/build_info.h"
#include "app/command.h"
#include "app/options/help.h"

enum { PAGE_COLUMNS = 78 };

/* Characters that roff would take for its own, or print as others: a hyphen, quotation marks, accents. */
static const struct {
    char character;
    const char *written;
} escapes[] = {{'\\', "\\e"}, {'-', "\\-"}, {'\'', "\\(aq"}, {'`', "\\(ga"}, {'~', "\\(ti"}, {'^', "\\(ha"}, {'"', "\\(dq"}};

static int put_character(char character, FILE *out)
{
    for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++) {
        if (escapes[i].character == character) return fprintf(out, "%s", escapes[i].written);
    }
    fputc(character, out);
    return 1;
}

static int put_word(const char *word, size_t length, FILE *out)
{
    int columns = 0;
    for (size_t i = 0; i < length; i++) columns += put_character(word[i], out);
    return columns;
}

/* Lines of text, none so long that it would be hard to read in an editor. A line that began with a full stop would be a request. */
static void put_text(const char *text, FILE *out)
{
    int at = 0;
    while (*text) {
        size_t length = strcspn(text, " \n");
        if (at > 0 && at + 1 + (int)length > PAGE_COLUMNS) {
            fputc('\n', out);
            at = 0;
        } else if (at > 0) {
            at += fprintf(out, " ");
        }
        if (at == 0 && *text == '.') at += fprintf(out, "\\&");
        at += put_word(text, length, out);
        text += length;
        text += strspn(text, " \n");
    }
    fputc('\n', out);
}

/* An entry of a list: what is bold, what is italic behind it, and its text. */
static void put_entry(const char *bold, const char *italic, const char *text, FILE *out)
{
    fputs(".TP\n\\fB", out);
    put_word(bold, strlen(bold), out);
    fputs("\\fR", out);
    if (*italic) {
        fputs(" \\fI", out);
        put_word(italic, strlen(italic), out);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    put_text(text, out);
}

static void put_commands(FILE *out)
{
    fputs(".SH COMMANDS\n", out);
    for (const command_row *row = command_table; row->name; row++) {
        put_entry(row->name, row->arguments ? row->arguments : "", row->summary, out);
        if (!row->more) continue;
        fputs(".IP\n", out);
        put_text(row->more, out);
    }
}

/* "train, eval", or nothing for an option of all commands. */
static void name_commands(const option_row *row, char *text, size_t bytes)
{
    *text = '\0';
    for (const command_row *command = command_table; command->name && row->commands != COMMAND_ALL; command++) {
        size_t used = strlen(text);
        if (row->commands & command->bit) snprintf(text + used, bytes - used, "%s%s", used ? ", " : "", command->name);
    }
}

/* What --help says of an option, and behind it in brackets its commands and its default. */
static void describe(const option_row *row, char *text, size_t bytes)
{
    char commands[128];
    name_commands(row, commands, sizeof commands);
    bool both = row->fallback && *commands, either = row->fallback || *commands;
    snprintf(text, bytes, "%s%s%s%s%s%s%s", row->help, either ? " (" : "", commands, both ? "; " : "",
             row->fallback ? "default " : "", row->fallback ? row->fallback : "", either ? ")" : "");
}

static void put_choices(const option_row *row, FILE *out)
{
    option_choice choice;
    fputs(".RS\n", out);
    for (size_t i = 0; row->choices(i, &choice); i++) put_entry(choice.name, "", choice.good_when, out);
    fputs(".RE\n", out);
}

static void put_option(const option_row *row, FILE *out)
{
    char head[128], argument[64] = "", text[1536];
    int used = row->letter ? snprintf(head, sizeof head, "-%c, ", row->letter) : 0;
    snprintf(head + used, sizeof head - (size_t)used, "--%s", row->name);
    if (row->argument) snprintf(argument, sizeof argument, row->bare ? "[%s]" : "%s", row->argument);
    describe(row, text, sizeof text);
    put_entry(head, argument, text, out);
    if (row->choices) put_choices(row, out);
}

static void put_options(FILE *out)
{
    fputs(".SH OPTIONS\n", out);
    put_text("A value follows its option as the next word or behind an equals sign. Names may be cut short where they stay clear. "
             "Behind each text are the commands that take the option, unless all do, and its default.",
             out);
    for (int group = 0; option_groups[group]; group++) {
        fprintf(out, ".SS %s\n", option_groups[group]);
        for (const option_row *row = option_table; row->name; row++) {
            if (row->group == group) put_option(row, out);
        }
    }
}

static void put_statuses(FILE *out)
{
    char number[8];
    fputs(".SH EXIT STATUS\n", out);
#define PUT_STATUS(symbol, code, text)                    \
    if (symbol != VGG_DECLINED) {                         \
        snprintf(number, sizeof number, "%d", (int)code); \
        put_entry(number, "", text, out);                 \
    }
    VGG_STATUS_LIST(PUT_STATUS)
#undef PUT_STATUS
}

static const help_example environment[] = {
    {"VGG11_DATA", "the folder of the data set, where --data does not name it"},
    {"OMP_NUM_THREADS", "threads of each rank, where --threads does not say"},
    {"XDG_CACHE_HOME", "where timings of algorithms are kept, in the place of ~/.cache"},
    {"VGG11_CPU", "portable, avx2, avx512 or avx512_bf16: compute as a processor that has no more than this"},
    {NULL, NULL},
};

static const help_example files[] = {
    {"runs/",
     "the run folders, below the folder in which the program is started: config.json, metrics.jsonl, history.csv, summary.json, "
     "plots/, and checkpoints of 258 MB each in the safetensors format"},
    {"~/.cache/vgg11_dist/plans.tsv", "which algorithm was fastest for each layer, as it was timed on this machine"},
    {NULL, NULL},
};

static void put_examples(FILE *out)
{
    fputs(".SH EXAMPLES\n", out);
    for (const help_example *example = help_examples; example->command; example++)
        put_entry(example->command, "", *example->does ? example->does : "the digit in that picture", out);
}

static void put_list(const char *title, const help_example *rows, FILE *out)
{
    fprintf(out, ".SH %s\n", title);
    for (; rows->command; rows++) put_entry(rows->command, "", rows->does, out);
}

void help_print_man(FILE *out)
{
    fputs(".\\\" Made by vgg11_dist --help=man.\n"
          ".TH VGG11_DIST 1 " VGG11_DATE " \"vgg11_dist " VGG11_VERSION "\" \"User Commands\"\n"
          ".nh\n.ad l\n" /* a name that was cut at a line's end could not be copied */
          ".SH NAME\nvgg11_dist \\- train VGG11 on many processors, over MPI\n"
          ".SH SYNOPSIS\n.B vgg11_dist\n[\\fICOMMAND\\fR] [\\fIOPTION\\fR...] [\\fIFILE\\fR...]\n.br\n"
          ".B mpirun \\-np\n.I N\n.B vgg11_dist\n[\\fICOMMAND\\fR] [\\fIOPTION\\fR...]\n"
          ".SH DESCRIPTION\n",
          out);
    put_text(help_purpose, out);
    put_commands(out);
    put_options(out);
    put_statuses(out);
    put_list("ENVIRONMENT", environment, out);
    put_list("FILES", files, out);
    put_examples(out);
    fputs(".SH SEE ALSO\n.BR mpirun (1),\n.BR srun (1)\n", out);
}

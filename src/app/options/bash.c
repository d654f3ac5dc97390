/* --help=bash: the same tables as a script that completes the command line. */
#include <string.h>

#include "app/build_info.h"
#include "app/command.h"
#include "app/options/help.h"

/* What a value is, by what --help calls it: "FILE", "DIR", "RUN|auto". */
static bool is_named(const option_row *row, const char *argument)
{
    return row->argument && !row->choices && strncmp(row->argument, argument, strlen(argument)) == 0;
}

static void print_name(const option_row *row, const char *before, FILE *out) { fprintf(out, "%s--%s", before, row->name); }

/* Options whose values are called so, as one branch of a case. */
static void print_branch(const char *argument, const char *kind, FILE *out)
{
    const char *before = "        ";
    for (const option_row *row = option_table; row->name; row++) {
        if (!is_named(row, argument)) continue;
        print_name(row, before, out);
        before = " | ";
    }
    fprintf(out, ") kind=%s ;;\n", kind);
}

/* Values by name: of choices all, and what stands beside a file's name, as "auto" in RUN|auto. */
static void print_values(FILE *out)
{
    option_choice choice;
    fputs("    case $option in\n", out);
    for (const option_row *row = option_table; row->name; row++) {
        const char *beside = row->argument ? strchr(row->argument, '|') : NULL;
        if (!row->choices && !beside) continue;
        print_name(row, "        ", out);
        fprintf(out, ") values='%s", beside ? beside + 1 : "");
        for (size_t i = 0; row->choices && row->choices(i, &choice); i++) fprintf(out, "%s%s", i > 0 ? " " : "", choice.name);
        fputs("' ;;\n", out);
    }
    fputs("    esac\n", out);
}

static void print_kinds(FILE *out)
{
    fputs("    case $option in\n", out);
    print_branch("FILE", "files", out);
    print_branch("RUN", "files", out); /* a folder, or a checkpoint in it */
    print_branch("DIR", "folders", out);
    fputs("    esac\n", out);
}

/* Options behind which the next word is a value. */
static void print_takers(FILE *out)
{
    const char *before = "    case $1 in\n        ";
    fputs("_vgg11_dist_takes_value() {\n", out);
    for (const option_row *row = option_table; row->name; row++) {
        if (!row->argument || (row->bare && row->type != OPTION_TEXT)) continue;
        print_name(row, before, out);
        before = " | ";
    }
    fputs(") return 0 ;;\n    esac\n    return 1\n}\n\n", out);
}

static void print_options(FILE *out)
{
    fputs("    case $command in\n", out);
    for (const command_row *command = command_table; command->name; command++) {
        fprintf(out, "        %s%s) options='", command->name, command == command_table ? " | ''" : "");
        const char *before = "";
        for (const option_row *row = option_table; row->name; row++) {
            if (!(row->commands & command->bit)) continue;
            print_name(row, before, out);
            before = " ";
        }
        fprintf(out, "' arguments=%s ;;\n", command->arguments ? "files" : "none");
    }
    fputs("    esac\n", out);
}

static void print_commands(FILE *out)
{
    fputs("    local commands='", out);
    for (const command_row *command = command_table; command->name; command++)
        fprintf(out, "%s%s", command == command_table ? "" : " ", command->name);
    fputs("'\n", out);
}

/* Bash cuts words at '=' unless it was told otherwise, so that a value is a word of its own or the rest of its option's. */
static const char find_option[] =
    "    local current=${COMP_WORDS[COMP_CWORD]} option='' prefix='' values='' kind=words options='' arguments=none command='' i\n"
    "    local -a before=(\"${COMP_WORDS[@]:0:COMP_CWORD}\")\n"
    "    local last=${before[COMP_CWORD - 1]}\n"
    "    if [[ $current == --*=* ]]; then\n"
    "        option=${current%%=*} prefix=${current%%=*}= current=${current#*=}\n"
    "    elif [[ $current == '=' ]]; then\n"
    "        option=$last current=''\n"
    "    elif [[ $last == '=' ]]; then\n"
    "        option=${before[COMP_CWORD - 2]}\n"
    "    elif [[ $current != -* ]] && _vgg11_dist_takes_value \"$last\"; then\n"
    "        option=$last\n"
    "    fi\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        if [[ ${before[i]} == '=' ]] || { [[ ${before[i + 1]-} != [-=]* ]] && _vgg11_dist_takes_value \"${before[i]}\"; }; then\n"
    "            ((++i))\n"
    "        elif [[ ${before[i]} != -* ]]; then\n"
    "            command=${before[i]}\n"
    "            break\n"
    "        fi\n"
    "    done\n";

static const char complete_it[] =
    "    if [[ -n $option ]]; then\n"
    "        :\n"
    "    elif [[ $current != -* && -z $command ]]; then\n"
    "        values=$commands\n"
    "    elif [[ $current != -* && $arguments == files ]]; then\n"
    "        kind=files\n"
    "    else\n"
    "        values=$options\n"
    "    fi\n"
    "    COMPREPLY=()\n"
    "    [[ $kind == words ]] || compopt -o filenames 2>/dev/null\n"
    "    case $kind in\n"
    "        files) mapfile -t COMPREPLY < <(compgen -f -W \"$values\" -P \"$prefix\" -- \"$current\") ;;\n"
    "        folders) mapfile -t COMPREPLY < <(compgen -d -P \"$prefix\" -- \"$current\") ;;\n"
    "        *) mapfile -t COMPREPLY < <(compgen -W \"$values\" -P \"$prefix\" -- \"$current\") ;;\n"
    "    esac\n"
    "}\n"
    "complete -F _vgg11_dist vgg11_dist\n";

void help_print_bash(FILE *out)
{
    fputs("# bash completion for vgg11_dist " VGG11_VERSION "; made by vgg11_dist --help=bash\n", out);
    print_takers(out);
    fputs("_vgg11_dist() {\n", out);
    fputs(find_option, out);
    print_commands(out);
    print_options(out);
    print_values(out);
    print_kinds(out);
    fputs(complete_it, out);
}

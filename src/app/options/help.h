/* What the program says of itself: a screen, a man page, and what a shell completes, all from the tables of options and commands. */
#ifndef VGG11_APP_OPTIONS_HELP_H
#define VGG11_APP_OPTIONS_HELP_H

#include <stdio.h>

typedef struct {
    const char *command;
    const char *does;
} help_example;

extern const char help_purpose[];          /* two lines */
extern const help_example help_examples[]; /* ended by a row without a command */

/* A page for man(1), in the macros of man(7). */
void help_print_man(FILE *out);

/* A script that a bash reads to complete commands, options and their values. It needs nothing but bash 4.4. */
void help_print_bash(FILE *out);

#endif

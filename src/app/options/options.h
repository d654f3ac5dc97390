/* All options of the program: one typed table that parses the command line and configuration files, prints --help, and goes
 * into config.json and checkpoints. To add one: a member here, and a row in option_table.c. */
#ifndef VGG11_APP_OPTIONS_OPTIONS_H
#define VGG11_APP_OPTIONS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vgg11/base/status.h"
#include "vgg11/comm/comm.h"

enum { OPTION_ROWS_MAX = 96, OPTION_TEXT_MAX = 4000, OPTION_PASSED_OVER_MAX = 128 };

#define OPTION_AUTO UINT64_MAX /* value of a count that was left to the program: "auto" */

struct command_row;

/* One member of the table's type for each row: bool, uint64_t, double or char * (a text that the struct owns, or NULL). */
typedef struct {
    const struct command_row *command;
    char **words;     /* owned; point into argv */
    char **arguments; /* what follows the command, within words */
    int argument_count;
    bool general;                             /* no command was named */
    bool given[OPTION_ROWS_MAX];              /* by row: named by the user, in a file or by a preset */
    char passed_over[OPTION_PASSED_OVER_MAX]; /* "output, trace": in a file that may not name them */

    char *data;
    uint64_t train_samples;
    uint64_t test_samples;
    uint64_t validation;
    char *resize;
    char *normalize;
    bool resize_bug;
    char *augment;

    char *init;
    char *init_from;
    uint64_t seed;
    char *precision;
    char *conv;
    bool no_tune;
    char *plan_cache;
    double plan_spread;
    bool retune;

    uint64_t epochs;
    uint64_t max_steps;
    uint64_t batch_size;
    double lr;
    double momentum;
    bool no_nesterov;
    double clip_norm;
    char *clip_mode;
    double weight_decay;
    char *schedule;
    uint64_t schedule_steps;
    uint64_t warmup_steps;
    bool no_shuffle;
    double label_smoothing;
    uint64_t eval_every;
    double target_accuracy;
    uint64_t skip_bad_steps;

    char *exchange;
    char *wire;
    uint64_t micro_batches;
    uint64_t bucket;
    bool no_factors;
    uint64_t threads;
    uint64_t check_every;
    uint64_t replay_every;
    uint64_t hang_timeout;

    char *output;
    uint64_t checkpoint_every;
    uint64_t checkpoint_steps;
    bool no_background_saves;
    uint64_t keep;
    char *resume;
    char *progress;
    char *trace;
    char *trace_steps;
    char *tensorboard;
    char *checkpoint;
    char *format;
    bool json;
    char *png;
    char *html;
    char *part;
    uint64_t repeats;
    char *plot;
    bool quiet;
    bool verbose;

    char *preset;
    char *config;
    char *help; /* how much of it is asked for; NULL: none */
    bool version;
} options;

typedef enum { OPTION_FLAG, OPTION_COUNT, OPTION_REAL, OPTION_CHOICE, OPTION_TEXT } option_type;

/* What an option describes: the training (kept in checkpoints, from which a resumed run takes it), else how this call computes its
 * part of it (kept there to be seen), else the run (kept in config.json), else this call alone. */
typedef enum { SCOPE_TRAINING, SCOPE_PART, SCOPE_RUN, SCOPE_CALL } option_scope;

/* A row of a table whose names an option takes. */
typedef struct {
    const char *name;
    const char *good_when;
} option_choice;

/* Fills in row `index` of the table; false behind its end. */
typedef bool (*option_choices)(size_t index, option_choice *choice);

typedef struct {
    const char *name;        /* --name, and the key in files */
    char letter;             /* -x, understood as well; or 0 */
    const char *former_name; /* what earlier versions called it, still understood; or NULL */
    const char *argument;    /* as --help calls it; NULL for a flag */
    option_type type;
    size_t offset;        /* in options */
    const char *fallback; /* default, as a user would write it; NULL for none */
    const char *unsaid; /* what trainings did whose options do not say, where that is not the default any more; NULL: the default */
    const char *bare;   /* value of --name where no value follows; NULL if one must */
    uint64_t least, most;   /* OPTION_COUNT */
    bool automatic;         /* OPTION_COUNT: "auto" will do */
    double low, high;       /* OPTION_REAL */
    option_choices choices; /* OPTION_CHOICE: the values; OPTION_TEXT: those that --help explains */
    int group;              /* index of option_groups */
    option_scope scope;
    unsigned commands; /* bits of the commands that take it */
    bool common;       /* among what the first help shows */
    const char *help;
} option_row;

extern const option_row option_table[];   /* ended by a row without a name */
extern const char *const option_groups[]; /* titles; ended by NULL */

/* Exact name, today's or a former one; NULL if there is none. */
const option_row *option_find(const char *name);

/* Fills `o` from defaults, then --preset, then the --config file, then the command line; a later value of the same option
 * replaces an earlier one. VGG_BAD_OPTION names the option or the file's line, the value, and what would be right. Prints
 * nothing. options_clear() frees in any case. */
vgg_status options_parse(int argc, char **argv, options *o);
void options_clear(options *o);

/* The options of a run that goes on from the checkpoint `path`, whose own options are the JSON text `config_json` ("": it says
 * none; NULL: there is no checkpoint):
 * those of SCOPE_TRAINING that `o` was not given come from there, and of those that it was, one line says what they were.
 * VGG_BAD_CHECKPOINT if a value is none of its option's. `resumed` is cleared in any case, and must not outlive `o`. */
vgg_status options_resume(const options *o, const char *path, const char *config_json, options *resumed);

/* The steps A to B, both included, that --trace-steps A:B names; 0 and 0 where it was not given. VGG_BAD_OPTION for what is none, or for more
 * of them than the trainer traces. */
vgg_status options_trace_steps(const options *o, uint64_t *first, uint64_t *last);

/* Says what of a configuration file was passed over. */
void options_tell(const options *o);

/* Whether the user named the option that fills the member at `offset`. */
bool options_given(const options *o, size_t offset);

/* Index of `name` in the table: turns a choice into the enumeration that has the same order. */
int option_choice_index(option_choices choices, const char *name);
bool option_precisions(size_t index, option_choice *choice); /* vgg_precision */
bool option_wires(size_t index, option_choice *choice);      /* exchange_wire */
bool option_clip_modes(size_t index, option_choice *choice); /* clip_mode */

/* The value of `row`, as a user would write it ("" if there is none), into `text`. */
void option_value_text(const options *o, const option_row *row, char text[OPTION_TEXT_MAX]);

/* The options of o->command up to `widest` as a JSON object, for free(); NULL without memory. */
char *options_json(const options *o, option_scope widest);

/* Collective. Puts in the place of "auto" what the processors of all ranks do best: the same on all. */
vgg_status options_choose_precision(comm *c, options *o);

/* Collective. VGG_DISAGREE on all ranks, naming the first option that differs, if the ranks got different ones. */
vgg_status options_agree(comm *c, const options *o);

/* The help text of o->command; without a command one screen of what people need first, unless all is asked for; or of all commands the man
 * page or the script for bash. */
void options_print_help(const options *o, FILE *out);

#endif

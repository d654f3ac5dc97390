/* The option table: each row by walking it, then what values, files and presets do. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "app/command.h"
#include "app/options/options.h"

enum { WORDS_MAX = 24, TEXT_BYTES = 512 };

/* Parses "vgg11_dist" and the words up to NULL. */
static vgg_status parse(options *o, const char *const *words)
{
    static char copies[WORDS_MAX][OPTION_TEXT_MAX + 64];
    char *arguments[WORDS_MAX + 1] = {"vgg11_dist"};
    int count = 1;
    for (; words[count - 1]; count++) {
        ck_assert_int_lt(count, WORDS_MAX);
        snprintf(copies[count], sizeof copies[count], "%s", words[count - 1]);
        arguments[count] = copies[count];
    }
    return options_parse(count, arguments, o);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void accept(options *o, const char *const *words)
{
    vgg_status status = parse(o, words);
    ck_assert_msg(status == VGG_OK, "%s ...: %s", words[0], vgg_message());
}

/* The message must have each of `parts` (ended by NULL) and be one line. */
static void refuse(const char *const *words, const char *const *parts)
{
    options o;
    ck_assert_msg(parse(&o, words) == VGG_BAD_OPTION, "%s is taken", words[0]);
    for (; *parts; parts++) ck_assert_msg(strstr(vgg_message(), *parts) != NULL, "no '%s' in: %s", *parts, vgg_message());
    ck_assert_ptr_null(strchr(vgg_message(), '\n'));
    options_clear(&o);
}

static const char *write_config(const char *text)
{
    static char path[TEXT_BYTES];
    snprintf(path, sizeof path, "%s/run.conf", support_folder);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    return path;
}

static const command_row *command_of(const option_row *row)
{
    const command_row *command = command_table;
    while (!(command->bit & row->commands)) command++;
    return command;
}

START_TEST(rows_are_complete)
{
    for (const option_row *row = option_table; row->name; row++) {
        ck_assert_msg(option_find(row->name) == row, "two rows are named %s", row->name);
        ck_assert_msg(row->help && *row->help, "--%s has no help", row->name);
        ck_assert_msg(row->commands & COMMAND_ALL, "no command takes --%s", row->name);
        ck_assert_msg((row->type == OPTION_FLAG) == (row->argument == NULL), "--%s: flag or value?", row->name);
        if (row->type == OPTION_CHOICE) ck_assert_msg(row->choices != NULL, "--%s: choices", row->name);
        for (const option_row *other = option_table; other != row; other++) ck_assert_uint_ne(other->offset, row->offset);
    }
}
END_TEST

START_TEST(defaults_are_in_range)
{
    options o;
    ck_assert_int_eq(options_parse(1, (char *[]){"vgg11_dist", NULL}, &o), VGG_OK);
    ck_assert_ptr_eq(o.command, command_find("train"));
    for (const option_row *row = option_table; row->name; row++) ck_assert(!options_given(&o, row->offset));
    options_clear(&o);
}
END_TEST

START_TEST(each_choice_is_taken_and_no_other)
{
    for (const option_row *row = option_table; row->name; row++) {
        option_choice choice;
        char word[TEXT_BYTES], text[OPTION_TEXT_MAX];
        options o;
        if (!row->choices) continue;
        for (size_t i = 0; row->choices(i, &choice); i++) {
            ck_assert_msg(choice.good_when && *choice.good_when, "--%s %s says not when", row->name, choice.name);
            snprintf(word, sizeof word, "--%s=%s", row->name, choice.name);
            accept(&o, WORDS(command_of(row)->name, word, command_of(row)->least > 0 ? "file" : NULL));
            option_value_text(&o, row, text);
            ck_assert_str_eq(text, choice.name);
            options_clear(&o);
        }
        if (row->type != OPTION_CHOICE) continue;
        ck_assert(row->choices(0, &choice));
        snprintf(word, sizeof word, "--%s=no-such", row->name);
        refuse(WORDS(command_of(row)->name, word), WORDS(row->name, "'no-such'", choice.name));
    }
}
END_TEST

static const char *const not_numbers[] = {"",
                                          "nan",
                                          "inf",
                                          "-inf",
                                          "NaN",
                                          "0x10",
                                          " 5",
                                          "5 ",
                                          "5x",
                                          "+5",
                                          "-1",
                                          "--5",
                                          "1e",
                                          ".",
                                          "1,5",
                                          "1_0",
                                          "1e999",
                                          "\n",
                                          "five",
                                          "18446744073709551616",
                                          "99999999999999999999999999"};

START_TEST(numbers_are_decimal_and_in_range)
{
    for (const option_row *row = option_table; row->name; row++) {
        if (row->type != OPTION_COUNT && row->type != OPTION_REAL) continue;
        char word[TEXT_BYTES];
        for (size_t i = 0; i < sizeof not_numbers / sizeof not_numbers[0]; i++) {
            snprintf(word, sizeof word, "--%s=%s", row->name, not_numbers[i]);
            refuse(WORDS(command_of(row)->name, word), WORDS(row->name, "expected a"));
        }
        const char *form = row->type == OPTION_COUNT ? "--%s=%.0f" : "--%s=%.17g";
        double low = row->type == OPTION_COUNT ? (double)row->least : row->low;
        double high = row->type == OPTION_COUNT ? (double)row->most : row->high;
        if (high > 9e15) continue; /* --seed: a double does not hold its bounds */
        options o;
        snprintf(word, sizeof word, form, row->name, high);
        accept(&o, WORDS(command_of(row)->name, word));
        options_clear(&o);
        snprintf(word, sizeof word, form, row->name, row->type == OPTION_COUNT ? high + 1 : high * 1.001);
        refuse(WORDS(command_of(row)->name, word), WORDS(row->name));
        snprintf(word, sizeof word, form, row->name, low);
        accept(&o, WORDS(command_of(row)->name, word));
        options_clear(&o);
        if (low == 0) continue;
        snprintf(word, sizeof word, form, row->name, row->type == OPTION_COUNT ? low - 1 : low * 0.999);
        refuse(WORDS(command_of(row)->name, word), WORDS(row->name));
    }
}
END_TEST

START_TEST(a_fraction_is_no_count)
{
    refuse(WORDS("--epochs", "1.5"), WORDS("--epochs '1.5'", "a whole number from 1 to"));
    refuse(WORDS("--epochs", "1e3"), WORDS("--epochs '1e3'"));
}
END_TEST

START_TEST(the_last_of_equals_wins)
{
    options o;
    accept(&o, WORDS("--lr", "0.5", "--lr=0.25", "--data", "a", "--data", "b"));
    ck_assert_double_eq(o.lr, 0.25);
    ck_assert_str_eq(o.data, "b");
    options_clear(&o);
    refuse(WORDS("--lr", "nan", "--lr", "0.1"), WORDS("--lr 'nan'"));
}
END_TEST

START_TEST(unknown_words_are_named)
{
    refuse(WORDS("--epoch-count", "3"), WORDS("'epoch-count'"));
    refuse(WORDS("--bach-size", "3"), WORDS("'bach-size'", "did you mean 'batch-size'"));
    refuse(WORDS("-e"), WORDS("'-e'"));
    refuse(WORDS("--quiet", "-abc"), WORDS("'-abc'"));
    refuse(WORDS("--lr"), WORDS("--lr", "missing"));
    refuse(WORDS("--quiet=1"), WORDS("--quiet", "no value"));
    refuse(WORDS("--check", "1"), WORDS("--check", "in full"));
    refuse(WORDS("help"), WORDS("'help'", "train, eval", "--help"));
    refuse(WORDS("train", "more"), WORDS("'more'", "train"));
    refuse(WORDS("info", "--lr", "1"), WORDS("--lr", "not an option of info"));
}
END_TEST

START_TEST(messages_are_short_and_printable)
{
    char word[OPTION_TEXT_MAX];
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    memcpy(word, "--lr=\n\033[1m\377", 11);
    refuse(WORDS(word), WORDS("--lr '??[1m?aaa", "..."));
}
END_TEST

START_TEST(text_must_be_one_line_of_utf8)
{
    refuse(WORDS("--data="), WORDS("--data ''"));
    refuse(WORDS("--data=a\nb"), WORDS("--data 'a?b'"));
    refuse(WORDS("--data=\377\376"), WORDS("--data", "UTF-8"));
    options o;
    accept(&o, WORDS("--data=/daten/Zürich"));
    options_clear(&o);
}
END_TEST

START_TEST(resume_takes_an_optional_value)
{
    options o;
    accept(&o, WORDS("--resume", "--lr", "0.5"));
    ck_assert_str_eq(o.resume, option_find("resume")->bare);
    options_clear(&o);
    const char *const *const forms[] = {WORDS("--resume=a/run"), WORDS("--resume", "a/run"), WORDS("train", "--resume", "a/run"),
                                        WORDS("--quiet", "--resume", "a/run", "--lr", "0.5")};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        accept(&o, forms[i]);
        ck_assert_str_eq(o.resume, "a/run");
        ck_assert_ptr_eq(o.command, command_find("train"));
        options_clear(&o);
    }
    accept(&o, WORDS("--resume=auto"));
    ck_assert_str_eq(o.resume, "auto");
    options_clear(&o);
    accept(&o, WORDS("--output", "x", "--resume"));
    ck_assert_str_eq(o.resume, option_find("resume")->bare);
    options_clear(&o);
    refuse(WORDS("--resume", "a/run", "another"), WORDS("'another'"));
    refuse(WORDS("--resume", ""), WORDS("--resume ''"));
}
END_TEST

START_TEST(warm_up_may_be_left_to_the_program)
{
    options o;
    accept(&o, WORDS("--quiet"));
    ck_assert_uint_eq(o.warmup_steps, OPTION_AUTO);
    options_clear(&o);
    accept(&o, WORDS("--warmup-steps", "0", "--warmup-steps", "auto"));
    ck_assert_uint_eq(o.warmup_steps, OPTION_AUTO);
    options_clear(&o);
    refuse(WORDS("--epochs", "auto"), WORDS("--epochs 'auto'"));
    refuse(WORDS("--warmup-steps", "automatic"), WORDS("--warmup-steps 'automatic'", "or auto"));
}
END_TEST

/* To the last bit: the files keep fifteen digits of it. */
START_TEST(a_resumed_run_has_the_training_of_its_checkpoint)
{
    options first, second, resumed;
    accept(&first, WORDS("--batch-size", "17", "--weight-decay", "0.12345678901234567", "--epochs", "9", "--no-nesterov", "--keep",
                         "7", "--schedule", "constant", "--max-steps", "3", "--threads", "2", "--data", "some/where"));
    char *json = options_json(&first, SCOPE_PART);
    accept(&second, WORDS("--epochs", "10", "--momentum", "0.9", "--output", "x"));
    ck_assert_int_eq(options_resume(&second, "file", json, &resumed), VGG_OK);
    ck_assert(memcmp(&resumed.lr, &first.lr, sizeof first.lr) == 0);
    ck_assert(memcmp(&resumed.weight_decay, &first.weight_decay, sizeof first.weight_decay) == 0);
    ck_assert_uint_eq(resumed.batch_size, 17);
    ck_assert_uint_eq(resumed.epochs, 10);
    ck_assert(resumed.no_nesterov);
    ck_assert_uint_eq(resumed.keep, 7);
    ck_assert_uint_eq(resumed.warmup_steps, OPTION_AUTO);
    ck_assert_str_eq(resumed.schedule, "constant");
    ck_assert_str_eq(resumed.data, "some/where");
    ck_assert_uint_eq(resumed.max_steps, 0);
    ck_assert_uint_eq(resumed.threads, 0);
    ck_assert_str_eq(resumed.output, "x");
    options_clear(&resumed);
    options_clear(&second);
    options_clear(&first);
    free(json);
}
END_TEST

static vgg_status resume_with(const char *const *words, const char *json)
{
    options o, resumed;
    accept(&o, words);
    vgg_status status = options_resume(&o, "a file", json, &resumed);
    options_clear(&resumed);
    options_clear(&o);
    return status;
}

/* Of an older program, a newer one, or of somebody who means no good. */
START_TEST(options_of_a_checkpoint_are_not_trusted)
{
    ck_assert_int_eq(resume_with(WORDS("--quiet"), NULL), VGG_OK);
    ck_assert_int_eq(resume_with(WORDS("--quiet"), ""), VGG_OK);
    ck_assert_int_eq(resume_with(WORDS("--quiet"), "{\"bogus\": [1], \"trace\": \"/etc/x\", \"slices\": 4}"), VGG_OK);
    ck_assert_int_eq(resume_with(WORDS("--lr", "1"), "{\"lr\": -1}"), VGG_OK);
    static const char *const bad[] = {
        "{\"lr\": -1}", "{\"lr\": [1]}", "{\"epochs\": 0}", "{\"init\": \"no-such\"}", "[]", "{", "{\"data\": \"a\\nb\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(resume_with(WORDS("--quiet"), bad[i]) == VGG_BAD_CHECKPOINT, "%s is taken", bad[i]);
        ck_assert_ptr_nonnull(strstr(vgg_message(), "a file: "));
    }
}
END_TEST

static void check_as_before(const options *o)
{
    ck_assert_str_eq(o->augment, "none");
    ck_assert_str_eq(o->init, "he");
    ck_assert_str_eq(o->precision, "fp32");
    ck_assert_str_eq(o->clip_mode, "global");
    ck_assert_str_eq(o->schedule, "cosine");
    ck_assert_double_eq(o->label_smoothing, 0);
}

/* A training that was begun when defaults were others, or options fewer, goes on as it was. */
START_TEST(what_an_earlier_version_did_not_say_is_what_it_did)
{
    options fresh, named, resumed;
    accept(&fresh, WORDS("--quiet"));
    ck_assert_str_eq(fresh.augment, "affine");
    ck_assert_double_gt(fresh.label_smoothing, 0);
    ck_assert_int_eq(options_resume(&fresh, "a file", NULL, &resumed), VGG_OK);
    ck_assert_str_eq(resumed.augment, "affine");
    options_clear(&resumed);
    const char *earlier[] = {"", "{}", "{\"momentum\": 0.8}"};
    for (size_t i = 0; i < sizeof earlier / sizeof earlier[0]; i++) {
        ck_assert_int_eq(options_resume(&fresh, "a file", earlier[i], &resumed), VGG_OK);
        check_as_before(&resumed);
        ck_assert_uint_eq(resumed.epochs, 4);
        options_clear(&resumed);
    }
    accept(&named, WORDS("--augment", "shift"));
    ck_assert_int_eq(options_resume(&named, "a file", "{\"epochs\": 7}", &resumed), VGG_OK);
    ck_assert_str_eq(resumed.augment, "shift");
    ck_assert_uint_eq(resumed.epochs, 7);
    options_clear(&resumed);
    options_clear(&named);
    options_clear(&fresh);
}
END_TEST

/* What a run wrote is all that it did; what a person wrote is what shall be otherwise. */
START_TEST(files_of_earlier_runs_are_taken_as_they_were_meant)
{
    options o;
    accept(&o, WORDS("--config", write_config("{\"version\": \"1\", \"options\": {\"epochs\": 3}}")));
    check_as_before(&o);
    ck_assert_uint_eq(o.epochs, 3);
    options_clear(&o);
    accept(&o, WORDS("--config", write_config("{\"epochs\": 3}")));
    ck_assert_str_eq(o.augment, "affine");
    options_clear(&o);
}
END_TEST

START_TEST(a_preset_gives_way_to_what_is_named)
{
    options o;
    accept(&o, WORDS("--lr", "0.5", "--preset", "question", "--momentum", "0.8"));
    ck_assert_double_eq(o.lr, 0.5);
    ck_assert_double_eq(o.momentum, 0.8);
    ck_assert_uint_eq(o.train_samples, 6000);
    ck_assert_uint_eq(o.epochs, 1);
    ck_assert_uint_eq(o.batch_size, 32);
    ck_assert_str_eq(o.init, "glorot");
    ck_assert_str_eq(o.augment, "none");
    ck_assert_str_eq(o.precision, "fp32");
    ck_assert_double_eq(o.label_smoothing, 0);
    ck_assert_str_eq(o.resize, "bicubic");
    ck_assert_str_eq(o.normalize, "none");
    ck_assert_double_eq(o.clip_norm, 1);
    ck_assert(!o.no_nesterov);
    ck_assert(!o.resize_bug);
    options_clear(&o);
    accept(&o, WORDS("--preset=question-bug"));
    ck_assert(o.resize_bug);
    ck_assert_double_eq(o.lr, 0.001);
    ck_assert_str_eq(o.preset, "question-bug");
    options_clear(&o);
}
END_TEST

START_TEST(a_preset_builds_on_another)
{
    options fast, best;
    accept(&fast, WORDS("--preset", "fast"));
    accept(&best, WORDS("--preset", "best"));
    ck_assert_uint_eq(fast.epochs, 1);
    ck_assert_str_eq(fast.augment, "none");
    ck_assert_uint_gt(best.epochs, fast.epochs);
    ck_assert_str_eq(best.augment, "affine");
    ck_assert_str_eq(best.init, fast.init);
    ck_assert_str_eq(best.clip_mode, "tensor");
    ck_assert_double_eq(best.label_smoothing, fast.label_smoothing);
    ck_assert_double_gt(best.lr, fast.lr);
    options_clear(&fast);
    options_clear(&best);
}
END_TEST

START_TEST(the_rate_follows_the_batch_unless_named)
{
    options o;
    accept(&o, WORDS("--batch-size", "128"));
    ck_assert_double_eq_tol(o.lr, 0.05, 1e-12);
    options_clear(&o);
    accept(&o, WORDS("--batch-size", "512", "--lr", "0"));
    ck_assert_double_eq_tol(o.lr, 0.1, 1e-12);
    options_clear(&o);
    accept(&o, WORDS("--batch-size", "512", "--lr", "0.3"));
    ck_assert_double_eq(o.lr, 0.3);
    options_clear(&o);
}
END_TEST

START_TEST(a_file_of_lines_is_read)
{
    options o;
    accept(&o, WORDS("--momentum", "0.7", "--config",
                     write_config("# a comment\n\n  lr = 0.125 \r\nmomentum=0.6\nno-nesterov = true\nno-shuffle = false\n"
                                  "data = /a folder # with a hash\npreset = question\n")));
    ck_assert_double_eq(o.lr, 0.125);
    ck_assert_double_eq(o.momentum, 0.7);
    ck_assert_str_eq(o.data, "/a folder # with a hash");
    ck_assert(o.no_nesterov && !o.no_shuffle);
    ck_assert_uint_eq(o.train_samples, 6000);
    options_clear(&o);
}
END_TEST

START_TEST(bad_lines_are_named)
{
    refuse(WORDS("--config", write_config("lr = 1\nlr = nan\n")), WORDS("run.conf:2: lr 'nan': expected a number"));
    refuse(WORDS("--config", write_config("\nbogus = 1\n")), WORDS("run.conf:2: unknown option 'bogus'"));
    refuse(WORDS("--config", write_config("epochs 3\n")), WORDS("run.conf:1: 'epochs 3'", "name = value"));
    refuse(WORDS("--config", write_config("config = other\n")), WORDS("run.conf:1: ", "'config'"));
    refuse(WORDS("--config", write_config("quiet = yes\n")), WORDS("run.conf:1: quiet 'yes'", "true or false"));
    refuse(WORDS("--config", write_config("{\"lr\": ")), WORDS("run.conf: line 1", "not JSON"));
    refuse(WORDS("--config", write_config("{\"lr\": [1]}")), WORDS("\"lr\"", "single value"));
    refuse(WORDS("--config", write_config("{\"lr\": -1}")), WORDS("run.conf: lr '-1'"));
    refuse(WORDS("--config", support_folder), WORDS(support_folder));
    refuse(WORDS("--config", "/dev/zero"), WORDS("--config /dev/zero: is not a regular file"));
    static char large[(1 << 16) + 2];
    memset(large, '#', sizeof large - 1);
    refuse(WORDS("--config", write_config(large)), WORDS("run.conf: longer than 64 KiB"));
    refuse(WORDS("--config", "/no/such"), WORDS("/no/such", "No such file"));
}
END_TEST

START_TEST(a_file_may_serve_several_commands)
{
    options o;
    accept(&o, WORDS("info", "--config", write_config("lr = 0.5\nthreads = 2\n")));
    ck_assert_uint_eq(o.threads, 2);
    options_clear(&o);
}
END_TEST

/* It may be anybody's, and files are written as its user. */
START_TEST(json_says_not_where_files_are)
{
    options o;
    accept(&o,
           WORDS("--config", write_config("{\"options\": {\"trace\": \"t\", \"lr\": 0.5, \"output\": \"o\", \"plan-cache\": \"p\", "
                                          "\"resume\": \"r\", \"trace-steps\": \"1:2\", \"data\": \"d\"}}")));
    ck_assert_ptr_null(o.trace);
    ck_assert_ptr_null(o.trace_steps);
    ck_assert_ptr_null(o.output);
    ck_assert_ptr_null(o.plan_cache);
    ck_assert_ptr_null(o.resume);
    ck_assert_str_eq(o.data, "d");
    ck_assert_double_eq(o.lr, 0.5);
    ck_assert_str_eq(o.passed_over, "trace, output, plan-cache, resume, trace-steps");
    options_clear(&o);
    accept(&o, WORDS("--config", write_config("trace = t\ntrace-steps = 3:5\noutput = o\nplan-cache = p\n")));
    ck_assert_str_eq(o.trace, "t");
    uint64_t first, last;
    ck_assert_int_eq(options_trace_steps(&o, &first, &last), VGG_OK);
    ck_assert_uint_eq(first, 3);
    ck_assert_uint_eq(last, 5);
    ck_assert_str_eq(o.output, "o");
    ck_assert_str_eq(o.plan_cache, "p");
    ck_assert_str_eq(o.passed_over, "");
    options_clear(&o);
}
END_TEST

/* What config.json says brings the same run about. */
START_TEST(the_json_comes_back_as_a_configuration)
{
    options first, second;
    accept(&first, WORDS("--lr", "0.1", "--weight-decay", "1e-7", "--seed", "9223372036854775807", "--no-nesterov", "--preset",
                         "question", "--data", "a \"quoted\" \\ folder", "--output", "somewhere"));
    char *json = options_json(&first, SCOPE_RUN), *wrapped = NULL;
    ck_assert_int_gt(asprintf(&wrapped, "{\"version\": \"1\", \"options\": %s}", json), 0);
    accept(&second, WORDS("--config", write_config(wrapped)));
    char *again = options_json(&second, SCOPE_RUN);
    ck_assert_str_eq(json, again);
    ck_assert_double_eq(second.lr, 0.1);
    ck_assert_double_eq(second.weight_decay, 1e-7);
    ck_assert_uint_eq(second.seed, UINT64_C(9223372036854775807));
    ck_assert_ptr_null(second.output);
    free(json);
    free(wrapped);
    free(again);
    options_clear(&first);
    options_clear(&second);
}
END_TEST

START_TEST(checkpoints_keep_what_changes_weights)
{
    options o;
    accept(&o, WORDS("--progress", "none"));
    char *json = options_json(&o, SCOPE_PART);
    json_t *root = json_loads(json, 0, NULL);
    ck_assert_ptr_nonnull(json_object_get(root, "lr"));
    ck_assert_ptr_nonnull(json_object_get(root, "resize"));
    ck_assert_ptr_null(json_object_get(root, "progress"));
    ck_assert_ptr_null(json_object_get(root, "output"));
    json_decref(root);
    free(json);
    options_clear(&o);
}
END_TEST

START_TEST(help_has_each_option_and_choice)
{
    for (const command_row *command = command_table; command->name; command++) {
        options o;
        accept(&o, WORDS(command->name, "--help"));
        char *text = NULL;
        size_t bytes = 0;
        FILE *out = open_memstream(&text, &bytes);
        options_print_help(&o, out);
        fclose(out);
        for (const option_row *row = option_table; row->name; row++) {
            char word[TEXT_BYTES];
            option_choice choice;
            char letter[] = {'-', row->letter, ',', ' ', '\0'};
            snprintf(word, sizeof word, "\n  %s--%s%s", row->letter ? letter : "", row->name,
                     !row->argument ? ""
                     : row->bare    ? " ["
                                    : " ");
            ck_assert_msg((strstr(text, word) != NULL) == ((row->commands & command->bit) != 0), "%s: --%s", command->name,
                          row->name);
            for (size_t i = 0; row->choices && (row->commands & command->bit) && row->choices(i, &choice); i++) {
                snprintf(word, sizeof word, "  %s  ", choice.name);
                ck_assert_msg(strstr(text, word) != NULL, "--%s %s is not explained", row->name, choice.name);
            }
        }
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) ck_assert_msg(strlen(line) <= 100, "long: %s", line);
        free(text);
        options_clear(&o);
    }
}
END_TEST

START_TEST(help_and_version_win_over_errors_in_values)
{
    options o;
    accept(&o, WORDS("--lr", "nan", "--help"));
    ck_assert(o.help);
    options_clear(&o);
    accept(&o, WORDS("--version", "--epochs", "0"));
    ck_assert(o.version);
    options_clear(&o);
}
END_TEST

START_TEST(choices_turn_into_enumerations)
{
    ck_assert_int_eq(option_choice_index(option_precisions, "fp32"), 0);
    ck_assert_int_eq(option_choice_index(option_precisions, "bf16"), 1);
    ck_assert_int_eq(option_choice_index(option_wires, "bf16"), 1);
    ck_assert_int_eq(option_choice_index(option_clip_modes, "tensor"), 1);
    ck_assert_int_eq(option_choice_index(option_precisions, "fp8"), -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options");
    TCase *cases = tcase_create("options");
    tcase_add_checked_fixture(cases, support_open_folder, support_close_folder);
    tcase_add_test(cases, rows_are_complete);
    tcase_add_test(cases, defaults_are_in_range);
    tcase_add_test(cases, each_choice_is_taken_and_no_other);
    tcase_add_test(cases, numbers_are_decimal_and_in_range);
    tcase_add_test(cases, a_fraction_is_no_count);
    tcase_add_test(cases, the_last_of_equals_wins);
    tcase_add_test(cases, unknown_words_are_named);
    tcase_add_test(cases, messages_are_short_and_printable);
    tcase_add_test(cases, text_must_be_one_line_of_utf8);
    tcase_add_test(cases, resume_takes_an_optional_value);
    tcase_add_test(cases, warm_up_may_be_left_to_the_program);
    tcase_add_test(cases, a_resumed_run_has_the_training_of_its_checkpoint);
    tcase_add_test(cases, options_of_a_checkpoint_are_not_trusted);
    tcase_add_test(cases, json_says_not_where_files_are);
    tcase_add_test(cases, what_an_earlier_version_did_not_say_is_what_it_did);
    tcase_add_test(cases, files_of_earlier_runs_are_taken_as_they_were_meant);
    tcase_add_test(cases, a_preset_gives_way_to_what_is_named);
    tcase_add_test(cases, a_preset_builds_on_another);
    tcase_add_test(cases, the_rate_follows_the_batch_unless_named);
    tcase_add_test(cases, a_file_of_lines_is_read);
    tcase_add_test(cases, bad_lines_are_named);
    tcase_add_test(cases, a_file_may_serve_several_commands);
    tcase_add_test(cases, the_json_comes_back_as_a_configuration);
    tcase_add_test(cases, checkpoints_keep_what_changes_weights);
    tcase_add_test(cases, help_has_each_option_and_choice);
    tcase_add_test(cases, help_and_version_win_over_errors_in_values);
    tcase_add_test(cases, choices_turn_into_enumerations);
    suite_add_tcase(suite, cases);
    return support_run(suite, NULL);
}

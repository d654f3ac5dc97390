#include "app/compare/facts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "report/json_file.h"

enum { NAME_BYTES = 160, NAME_MOST = 80, REAL_DIGITS = 15, DOUBLE_DIGITS = 17 };

const char *compare_fact(const json_t *facts, const char *name) { return json_string_value(json_object_get(facts, name)); }

/* Takes `text` over; NULL is no memory. */
static bool add(json_t *facts, const char *name, json_t *text)
{
    if (!text) return false;
    if (!json_object_get(facts, name)) return json_object_set_new(facts, name, text) == 0;
    json_decref(text);
    return true;
}

/* "<kind> <name>". No program has written a name so long that it is passed over. */
static bool add_named(json_t *facts, const char *kind, const char *name, json_t *text)
{
    char whole[NAME_BYTES];
    snprintf(whole, sizeof whole, "%s %s", kind, strlen(name) <= NAME_MOST ? name : "");
    return add(facts, whole, text);
}

/* A value as people write it; without quotes, so that a number and its text are the same. */
static json_t *text_of(const json_t *value)
{
    if (json_is_string(value)) return json_string(json_string_value(value));
    if (json_is_integer(value)) return json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_real(value)) return json_sprintf("%.*g", REAL_DIGITS, json_real_value(value));
    if (json_is_boolean(value)) return json_string(json_is_true(value) ? "yes" : "no");
    return json_string("none");
}

/* What older programs did not record is not known. */
static bool add_known(json_t *facts, const char *name, const json_t *value)
{
    return !value || json_is_null(value) || add(facts, name, text_of(value));
}

static bool add_members(json_t *facts, const char *kind, const json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        if (!add_named(facts, kind, name, text_of(value))) return false;
    }
    return true;
}

/* "conv1:direct/direct/im2col conv2:..." */
static bool add_algorithms(json_t *facts, const char *line)
{
    static const char *const passes[] = {"forward", "input gradient", "weight gradient"};
    char name[NAME_BYTES];
    while (line && *line) {
        size_t layer = strcspn(line, ": ");
        const char *at = line + layer + (line[layer] == ':');
        for (int pass = 0; pass < 3; pass++) {
            size_t length = strcspn(at, "/ ");
            snprintf(name, sizeof name, "algorithm of %.*s, %s", layer <= NAME_MOST ? (int)layer : 0, line, passes[pass]);
            if (length > 0 && !add(facts, name, json_stringn(at, length))) return false;
            at += length + (at[length] == '/');
        }
        line = at + strcspn(at, " ");
        line += strspn(line, " ");
    }
    return true;
}

/* "overlap (named); buckets of 4 MiB (timed)": why it was taken changes nothing. */
static bool add_exchange(json_t *facts, const char *line)
{
    const char *buckets = line ? strstr(line, "buckets of ") : NULL;
    if (line && *line && !add(facts, "exchange", json_stringn(line, strcspn(line, " (;")))) return false;
    if (buckets) buckets += strlen("buckets of ");
    return !buckets || add(facts, "bucket", json_stringn(buckets, strcspn(buckets, "(;")));
}

/* The word behind `key` in "precision=fp32 conv=auto cpu=avx2+avx512". */
static bool add_word(json_t *facts, const char *name, const char *line, const char *key)
{
    const char *found = strstr(line, key);
    if (!found) return true;
    found += strlen(key);
    return add(facts, name, json_stringn(found, strcspn(found, " ")));
}

static bool add_options(json_t *facts, const char *text)
{
    json_t *object = text ? json_parse_text(text) : NULL;
    bool whole = object || !text || errno != ENOMEM;
    whole = whole && add_members(facts, "option", object);
    json_decref(object);
    return whole;
}

bool compare_facts_of_header(const checkpoint_state *state, json_t *facts)
{
    const char *setting = state->tuning_fingerprint ? state->tuning_fingerprint : "", *digest = state->data_digest;
    errno = 0;
    return add(facts, "step", json_sprintf("%" PRIu64, state->position.step)) &&
           (!digest || !*digest || add(facts, "training data digest", json_string(digest))) &&
           add(facts, "pixel mean", json_sprintf("%.*g", DOUBLE_DIGITS, state->pixel_mean)) &&
           add(facts, "pixel deviation", json_sprintf("%.*g", DOUBLE_DIGITS, state->pixel_deviation)) &&
           add_options(facts, state->config_json) && add(facts, "ranks", json_sprintf("%d", state->ranks)) &&
           add(facts, "threads", json_sprintf("%d", state->threads)) && add_exchange(facts, state->exchange) &&
           add_algorithms(facts, state->algorithms) && add_word(facts, "processor features", setting, "cpu=") &&
           add_word(facts, "threads of ranks", setting, "threads=") && add_word(facts, "dense factors", setting, "factors=");
}

static bool add_provenance(json_t *facts, const json_t *said)
{
    static const char *const members[] = {"processor", "build", "version", "compiler", "build_type",
                                          "nodes",     "mpi",   "hosts",   "kernel"};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (!add_known(facts, members[i], json_object_get(said, members[i]))) return false;
    return add_members(facts, "library", json_object_get(said, "libraries"));
}

/* What config.json and a line of metrics.jsonl have at their top, summary.json has under "run", and it calls the options "config". */
static bool add_root(json_t *facts, const json_t *root)
{
    const json_t *options = json_object_get(root, "options"), *run = json_object_get(root, "run");
    if (!run) run = root;
    return add_members(facts, "option", options ? options : json_object_get(root, "config")) &&
           add_known(facts, "ranks", json_object_get(run, "ranks")) &&
           add_known(facts, "threads", json_object_get(run, "threads")) &&
           add_exchange(facts, json_string_value(json_object_get(run, "exchange"))) &&
           add_algorithms(facts, json_string_value(json_object_get(run, "algorithms"))) &&
           add_provenance(facts, json_object_get(root, "provenance"));
}

bool compare_facts_of_start(const char *line, json_t *facts)
{
    errno = 0;
    json_t *root = json_parse_text(line);
    bool whole = errno != ENOMEM && add_root(facts, root);
    json_decref(root);
    return whole;
}

static bool add_file(json_t *facts, const compare_side *side, const char *name)
{
    json_t *root;
    bool whole = json_file_read(side->path, name, &root) == VGG_OK && add_root(facts, root);
    json_decref(root);
    return whole;
}

bool compare_facts_of_folder(const compare_side *side, json_t *facts)
{
    return add_file(facts, side, "config.json") && add_file(facts, side, "summary.json");
}

#include "app/compare/causes.h"

#include <stdlib.h>
#include <string.h>

#include "app/compare/facts.h"

/* What a fact that differs does to the bits of a run; README says the same in words. */
typedef enum {
    ALWAYS,
    PERHAPS,
    IN_SUMS, /* surely, unless micro-batches fix the order of sums */
    PERHAPS_IN_SUMS,
    IN_EVALUATIONS, /* in what evaluations find alone */
    BY_DATA,        /* if it leads to other images */
    NEVER
} effect;

typedef struct {
    const char *name; /* of the fact, or how it begins */
    effect effect;
} cause_rule;

/* The first that fits counts, and the order is that of the list of causes. An option without a row of its own describes the training. */
static const cause_rule rules[] = {
    {"step", ALWAYS},
    {"training data digest", ALWAYS},
    {"option seed", ALWAYS},
    {"option data", BY_DATA},
    {"option test-samples", IN_EVALUATIONS},
    {"option epochs", PERHAPS},
    {"option micro-batches", PERHAPS},
    {"option wire", PERHAPS},
    {"option conv", PERHAPS},
    {"option no-factors", PERHAPS},
    {"option eval-every", NEVER},
    {"option no-tune", NEVER},
    {"option max-steps", NEVER},
    {"option target-accuracy", NEVER},
    {"option skip-bad-steps", NEVER},
    {"option exchange", NEVER}, /* what it came to is a fact itself, as of the two that follow */
    {"option bucket", NEVER},
    {"option threads", NEVER},
    {"option check-every", NEVER},
    {"option replay-every", NEVER},
    {"option hang-timeout", NEVER},
    {"option checkpoint-every", NEVER},
    {"option checkpoint-steps", NEVER},
    {"option no-background-saves", NEVER},
    {"option keep", NEVER},
    {"option progress", NEVER},
    {"option ", ALWAYS},
    {"pixel ", ALWAYS},
    {"ranks", IN_SUMS},
    {"algorithm of ", ALWAYS},
    {"processor features", PERHAPS},
    {"processor", PERHAPS},
    {"threads", PERHAPS},
    {"dense factors", PERHAPS},
    {"exchange", PERHAPS_IN_SUMS},
    {"nodes", PERHAPS_IN_SUMS},
    {"bucket", PERHAPS_IN_SUMS},
    {"build_type", PERHAPS},
    {"build", PERHAPS},
    {"version", PERHAPS},
    {"compiler", PERHAPS},
    {"library OpenBLAS", PERHAPS},
    {"library oneDNN", PERHAPS},
    {"library OpenMP", PERHAPS},
    {"mpi", PERHAPS_IN_SUMS},
    {"library ", NEVER},
    {"hosts", NEVER},
    {"kernel", NEVER},
};
enum { RULE_COUNT = sizeof rules / sizeof rules[0] };

static int rule_of(const char *name)
{
    int i = 0;
    while (i < RULE_COUNT - 1 && strncmp(name, rules[i].name, strlen(rules[i].name)) != 0) i++;
    return i;
}

static bool same_text(const char *a, const char *b) { return a && b && strcmp(a, b) == 0; }

static bool same_fact(json_t *const facts[2], const char *name)
{
    return same_text(compare_fact(facts[0], name), compare_fact(facts[1], name));
}

static bool has_fixed_order(json_t *const facts[2])
{
    const char *parts = compare_fact(facts[0], "option micro-batches");
    return parts && strcmp(parts, "0") != 0 && same_fact(facts, "option micro-batches");
}

static cause_weight weigh(effect does, json_t *const facts[2], bool in_evaluation)
{
    switch (does) {
    case ALWAYS: return CAUSE_CERTAIN;
    case PERHAPS: return CAUSE_POSSIBLE;
    case IN_SUMS: return has_fixed_order(facts) ? CAUSE_NONE : CAUSE_CERTAIN;
    case PERHAPS_IN_SUMS: return has_fixed_order(facts) ? CAUSE_NONE : CAUSE_POSSIBLE;
    case IN_EVALUATIONS: return in_evaluation ? CAUSE_CERTAIN : CAUSE_NONE;
    case BY_DATA: return in_evaluation || !same_fact(facts, "training data digest") ? CAUSE_POSSIBLE : CAUSE_NONE;
    case NEVER: break;
    }
    return CAUSE_NONE;
}

static vgg_status add(cause_list *list, const char *name, json_t *const facts[2], bool in_evaluation)
{
    cause *grown = realloc(list->causes, (list->count + 1) * sizeof *grown);
    if (!grown) return vgg_fail(VGG_UNAVAILABLE, "not enough memory to list what differs");
    list->causes = grown;
    int rule = rule_of(name);
    cause added = {.name = name, .weight = weigh(rules[rule].effect, facts, in_evaluation), .order = rule};
    for (int i = 0; i < 2; i++) {
        const char *text = compare_fact(facts[i], name);
        added.values[i] = text ? text : "not recorded";
        if (!text && added.weight == CAUSE_CERTAIN) added.weight = CAUSE_POSSIBLE;
    }
    list->causes[list->count++] = added;
    return VGG_OK;
}

static int likelier_first(const void *a, const void *b)
{
    const cause *x = a, *y = b;
    if (x->weight != y->weight) return x->weight < y->weight ? -1 : 1;
    if (x->order != y->order) return x->order < y->order ? -1 : 1;
    return strcmp(x->name, y->name);
}

vgg_status causes_find(cause_list *list, json_t *const facts[2], bool in_evaluation)
{
    for (int i = 0; i < 2; i++) {
        const char *name;
        json_t *value;
        json_object_foreach(facts[i], name, value)
        {
            bool listed = i == 1 && compare_fact(facts[0], name);
            if (!listed && !same_fact(facts, name)) VGG_TRY(add(list, name, facts, in_evaluation));
        }
    }
    if (list->count > 0) qsort(list->causes, list->count, sizeof *list->causes, likelier_first);
    return VGG_OK;
}

void causes_free(cause_list *list)
{
    free(list->causes);
    *list = (cause_list){0};
}

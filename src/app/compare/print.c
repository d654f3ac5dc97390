/* What was found, for people and for programs. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "app/compare/compare.h"
#include "app/json_output.h"
#include "app/options/value.h"
#include "base/json.h"
#include "report/metrics_file.h"
#include "vgg11/nn/model.h"

static const char *const labels[] = {"A", "B"};
static const char *const weight_names[] = {
    [CAUSE_CERTAIN] = "explains it", [CAUSE_POSSIBLE] = "may explain it", [CAUSE_NONE] = "changes no bits"};
static const char *const weight_words[] = {[CAUSE_CERTAIN] = "certainly", [CAUSE_POSSIBLE] = "possibly", [CAUSE_NONE] = "no"};

static void print_side(const comparison *c, int i)
{
    const compare_side *side = &c->sides[i];
    printf("%s  %s: ", labels[i], side->path);
    if (!side->folder) {
        printf("checkpoint of step %" PRIu64 "\n", side->steps[0]);
        return;
    }
    const metrics_range *all = &c->metrics.all[i];
    if (c->has_metrics && all->count > 0)
        printf("steps %" PRIu64 " to %" PRIu64, all->first, all->last);
    else
        printf(side->metrics ? "metrics" : "no metrics");
    printf(", %zu checkpoint%s\n", side->count, side->count == 1 ? "" : "s");
}

static const char *number_text(double value, char text[OPTION_SHOWN_BYTES])
{
    snprintf(text, OPTION_SHOWN_BYTES, isnan(value) ? "none" : "%.9g", value);
    return text;
}

static void print_quantities(const metrics_comparison *metrics)
{
    char text[2][OPTION_SHOWN_BYTES];
    const char *before = " ";
    for (int i = 0; i < METRICS_QUANTITIES; i++) {
        if (!metrics->unlike[i]) continue;
        printf("%s%s %s and %s", before, metrics_quantity_names[i], number_text(metrics->values[i][0], text[0]),
               number_text(metrics->values[i][1], text[1]));
        before = ", ";
    }
}

static void print_metrics(const comparison *c)
{
    const metrics_comparison *metrics = &c->metrics;
    const metrics_range *common = &metrics->common;
    if (!c->has_metrics) return;
    if (common->count == 0) {
        puts("metrics: no step is in both");
        return;
    }
    printf("metrics: %" PRIu64 " step%s in both, %" PRIu64 " to %" PRIu64, common->count, common->count == 1 ? "" : "s",
           common->first, common->last);
    for (int i = 0; i < 2; i++)
        if (metrics->all[i].count > common->count)
            printf("; %s has %" PRIu64 " more", labels[i], metrics->all[i].count - common->count);
    if (metrics->step > 0) {
        printf("; the first that differs is %" PRIu64 ":", metrics->step);
        print_quantities(metrics);
        putchar('\n');
    } else {
        puts("; all the same");
    }
}

static void print_half(const char *what, const half_difference *half)
{
    const tensor_difference *first = &half->first;
    if (half->tensors == 0) {
        printf("   %s: the same\n", what);
        return;
    }
    printf(
        "   %s: %d of %d tensors differ, first %s: %zu of %zu numbers, by at most %.9g; the first is number %zu, %.9g and %.9g\n",
        what, half->tensors, MODEL_TENSORS, first->name, first->unlike, first->count, first->largest, first->index,
        (double)first->values[0], (double)first->values[1]);
}

static void print_checkpoints(const comparison *c)
{
    if (c->checkpoints == 0) {
        puts(c->passed_over > 0 ? "checkpoints: none could be compared" : "checkpoints: no step has one in both");
        return;
    }
    if (!compare_tensors_differ(c)) {
        printf("checkpoints: %zu compared, the last of step %" PRIu64 "; all weights and velocity the same", c->checkpoints,
               c->steps[0]);
        if (c->passed_over > 0) printf("; %zu passed over", c->passed_over);
        putchar('\n');
        return;
    }
    printf("checkpoints: the first that differs is that of step %" PRIu64, c->steps[0]);
    if (c->steps[0] != c->steps[1]) printf(" (B: of step %" PRIu64 ")", c->steps[1]);
    putchar('\n');
    print_half("weights", &c->tensors.weights);
    print_half("velocity", &c->tensors.velocity);
}

/* Values may be anybody's. */
static void print_causes(const comparison *c)
{
    char name[OPTION_SHOWN_BYTES], values[2][OPTION_SHOWN_BYTES];
    bool differs = compare_differs(c);
    if (c->causes.count > 0)
        puts(differs ? "what else differs, the likeliest reason first:" : "what else differs, and changed no bit:");
    for (size_t i = 0; i < c->causes.count; i++) {
        const cause *one = &c->causes.causes[i];
        printf("   %s: %s and %s", option_shown(one->name, name), option_shown(one->values[0], values[0]),
               option_shown(one->values[1], values[1]));
        printf(differs ? " (%s)\n" : "\n", weight_names[one->weight]);
    }
    if (differs && (c->causes.count == 0 || c->causes.causes[0].weight == CAUSE_NONE))
        puts("nothing that is recorded explains it: a processor or memory that errs would (see --replay-every), or a changed file");
}

void compare_print_text(const comparison *c)
{
    for (int i = 0; i < 2; i++) print_side(c, i);
    print_metrics(c);
    print_checkpoints(c);
    print_causes(c);
}

static json_t *side_json(const comparison *c, int i)
{
    const compare_side *side = &c->sides[i];
    return json_pack("{s:s, s:s, s:I, s:I}", "path", side->path, "kind", side->folder ? "run" : "checkpoint", "steps",
                     (json_int_t)c->metrics.all[i].count, "checkpoints", (json_int_t)side->count);
}

/* The quantities that differ in the first step in which one does; null if none does. */
static json_t *metrics_difference_json(const metrics_comparison *metrics)
{
    if (metrics->step == 0) return json_null();
    json_t *list = json_array();
    for (int i = 0; i < METRICS_QUANTITIES; i++) {
        if (!metrics->unlike[i]) continue;
        json_list_add(&list, json_pack("{s:s, s:o, s:o}", "quantity", metrics_quantity_names[i], "a",
                                       metrics_real(metrics->values[i][0]), "b", metrics_real(metrics->values[i][1])));
    }
    return json_pack("{s:I, s:s, s:o}", "step", (json_int_t)metrics->step, "quantity", metrics_quantity_names[metrics->first],
                     "quantities", list);
}

static json_t *metrics_json(const comparison *c)
{
    if (!c->has_metrics) return json_null();
    const metrics_range *common = &c->metrics.common;
    return json_pack("{s:I, s:I, s:I, s:o}", "steps", (json_int_t)common->count, "first_step", (json_int_t)common->first,
                     "last_step", (json_int_t)common->last, "difference", metrics_difference_json(&c->metrics));
}

static json_t *half_json(const half_difference *half)
{
    const tensor_difference *first = &half->first;
    if (half->tensors == 0) return json_null();
    return json_pack("{s:i, s:s, s:I, s:I, s:o, s:I, s:o, s:o}", "tensors", half->tensors, "tensor", first->name, "numbers",
                     (json_int_t)first->count, "unlike", (json_int_t)first->unlike, "largest", metrics_real(first->largest),
                     "index", (json_int_t)first->index, "a", metrics_real((double)first->values[0]), "b",
                     metrics_real((double)first->values[1]));
}

static json_t *tensors_json(const comparison *c)
{
    if (!compare_tensors_differ(c)) return json_null();
    return json_pack("{s:I, s:I, s:o, s:o}", "step", (json_int_t)c->steps[0], "step_b", (json_int_t)c->steps[1], "weights",
                     half_json(&c->tensors.weights), "velocity", half_json(&c->tensors.velocity));
}

static json_t *causes_json(const comparison *c)
{
    json_t *list = json_array();
    bool differs = compare_differs(c);
    for (size_t i = 0; i < c->causes.count; i++) {
        const cause *one = &c->causes.causes[i];
        json_list_add(&list, json_pack("{s:s, s:s, s:s, s:s}", "what", one->name, "a", one->values[0], "b", one->values[1],
                                       "explains", weight_words[differs ? one->weight : CAUSE_NONE]));
    }
    return list;
}

vgg_status compare_print_json(const comparison *c)
{
    json_t *checkpoints = json_pack("{s:I, s:I, s:o}", "compared", (json_int_t)c->checkpoints, "passed_over",
                                    (json_int_t)c->passed_over, "difference", tensors_json(c));
    json_t *object = json_pack("{s:b, s:o, s:o, s:o, s:o, s:o}", "differs", compare_differs(c), "a", side_json(c, 0), "b",
                               side_json(c, 1), "metrics", metrics_json(c), "checkpoints", checkpoints, "differences",
                               causes_json(c));
    if (!object) return vgg_fail(VGG_UNAVAILABLE, "not enough memory to print what differs");
    return json_output(object, " what differs");
}

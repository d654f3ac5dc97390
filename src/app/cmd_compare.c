/* compare: whether two runs have the same bits, where they part, and why that may be. */
#include <inttypes.h>
#include <stdio.h>

#include "app/command.h"
#include "app/commands.h"
#include "app/compare/compare.h"
#include "app/options/value.h"

/* Of the line on standard error: what a person would look at first. */
static vgg_status tell(const comparison *c)
{
    char where[96], why[3 * OPTION_SHOWN_BYTES] = "", shown[3][OPTION_SHOWN_BYTES];
    if (compare_metrics_differ(c))
        snprintf(where, sizeof where, "in the %s of step %" PRIu64, metrics_quantity_names[c->metrics.first], c->metrics.step);
    else
        snprintf(where, sizeof where, "in %s of step %" PRIu64,
                 (c->tensors.weights.tensors > 0 ? &c->tensors.weights : &c->tensors.velocity)->first.name, c->steps[0]);
    const cause *likeliest = c->causes.count > 0 ? c->causes.causes : NULL;
    if (likeliest && likeliest->weight != CAUSE_NONE)
        snprintf(why, sizeof why, "; %s: %s and %s", option_shown(likeliest->name, shown[0]),
                 option_shown(likeliest->values[0], shown[1]), option_shown(likeliest->values[1], shown[2]));
    return vgg_fail(VGG_FOUND, "compare: the bits differ, first %s%s", where, why);
}

static vgg_status report(const options *o, const comparison *c)
{
    if (o->json)
        VGG_TRY(compare_print_json(c));
    else
        compare_print_text(c);
    if (compare_differs(c)) return tell(c);
    if (c->passed_over == 0) return VGG_OK;
    vgg_restore_message(&c->passed_over_message);
    return c->passed_over_why;
}

vgg_status cmd_compare(comm *c, const options *o)
{
    (void)c;
    comparison found;
    vgg_status status = compare_open((const char *const[2]){o->arguments[0], o->arguments[1]}, &found);
    if (status == VGG_OK) status = report(o, &found);
    compare_close(&found);
    return status;
}

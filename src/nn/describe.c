/* Describing a network's choices of algorithms. */
#include <stdio.h>
#include <string.h>

#include "nn/network_impl.h"

static const conv_choice *choice_at(const network *net, int place)
{
    return &net->choices[place / CONV_PASSES][place % CONV_PASSES];
}

static void describe_choice(const network *net, int place, char *text, size_t bytes)
{
    const conv_plan *plan = &choice_at(net, place)->plan;
    int used = snprintf(text, bytes, "%-5s %-15s %s", net->layers[place / CONV_PASSES].row->name,
                        conv_pass_names[place % CONV_PASSES], plan->algorithm->name);
    if (plan->seconds > 0 && used < (int)bytes) snprintf(text + used, bytes - (size_t)used, " %.3f ms", 1e3 * plan->seconds);
}

static bool same_refusal(const conv_refusal *a, const conv_refusal *b)
{
    return a->algorithm == b->algorithm && strcmp(a->reason, b->reason) == 0;
}

/* Choices from `place` on that the row declined for this reason. */
static int count_from(const network *net, int place, const conv_refusal *refusal)
{
    int count = 0;
    for (; place < MODEL_LAYERS * CONV_PASSES; place++) {
        const conv_choice *choice = choice_at(net, place);
        for (int i = 0; i < choice->refusal_count; i++) count += same_refusal(&choice->refusals[i], refusal);
    }
    return count;
}

/* All layers of a kind give the same reasons, so each is said once, with the first pass that it stands for. */
static void describe_refusals(const network *net, int place, void (*line)(void *context, const char *text), void *context)
{
    const conv_choice *choice = choice_at(net, place);
    for (int i = 0; i < choice->refusal_count; i++) {
        const conv_refusal *refusal = &choice->refusals[i];
        char text[256], others[32] = "";
        int times = count_from(net, place, refusal);
        if (count_from(net, 0, refusal) > times) continue;
        if (times > 1) snprintf(others, sizeof others, " and %d more", times - 1);
        snprintf(text, sizeof text, "%s declined %s %s%s: %s", refusal->algorithm->name, net->layers[place / CONV_PASSES].row->name,
                 conv_pass_names[place % CONV_PASSES], others, refusal->reason);
        line(context, text);
    }
}

void network_describe(const network *net, void (*line)(void *context, const char *text), void *context)
{
    char text[128];
    for (int place = 0; place < MODEL_LAYERS * CONV_PASSES; place++) {
        if (!choice_at(net, place)->plan.algorithm) continue;
        describe_choice(net, place, text, sizeof text);
        line(context, text);
    }
    for (int place = 0; place < MODEL_LAYERS * CONV_PASSES; place++) describe_refusals(net, place, line, context);
}

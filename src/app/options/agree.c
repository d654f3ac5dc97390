/* The same options on every rank. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/command.h"
#include "vgg11/base/cpu.h"
#include "vgg11/base/hash.h"
#include "vgg11/conv/conv.h"

static uint64_t hash_options(const options *o)
{
    uint64_t hash = hash_bits(o->command->name, strlen(o->command->name));
    char text[OPTION_TEXT_MAX];
    for (const option_row *row = option_table; row->name; row++) {
        option_value_text(o, row, text);
        uint64_t both[2] = {hash, hash_bits(text, strlen(text))};
        hash = hash_bits(both, sizeof both);
    }
    return hash;
}

vgg_status options_agree(comm *c, const options *o)
{
    if (comm_same(c, hash_options(o))) return VGG_OK;
    VGG_TRY(comm_agree_text(c, "command", o->command->name));
    for (const option_row *row = option_table; row->name; row++) {
        char text[OPTION_TEXT_MAX], what[64];
        option_value_text(o, row, text);
        snprintf(what, sizeof what, "option --%s", row->name);
        VGG_TRY(comm_agree_text(c, what, text));
    }
    return VGG_OK;
}

/* Collective. An algorithm that is named has a precision of its own. */
static bool is_bf16_better(comm *c, const options *o)
{
    const conv_algorithm *named = o->conv ? conv_algorithm_find(o->conv) : NULL;
    const cpu_features *cpu = cpu_detect();
    if (named) return named->precision == PRECISION_BF16;
    return !comm_any(c, !cpu->avx512_bf16 && !cpu->amx_bf16);
}

vgg_status options_choose_precision(comm *c, options *o)
{
    if (!o->precision || strcmp(o->precision, "auto") != 0) return VGG_OK;
    bool bf16 = is_bf16_better(c, o);
    free(o->precision);
    o->precision = strdup(bf16 ? "bf16" : "fp32");
    return comm_agree(c, o->precision ? VGG_OK : vgg_fail(VGG_UNAVAILABLE, "not enough memory for the options"));
}

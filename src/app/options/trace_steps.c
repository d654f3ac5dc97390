/* --trace-steps A:B. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app/options/value.h"
#include "app/command.h"
#include "vgg11/train/trainer.h"

/* Digits alone, up to the byte `end`. */
static bool read_step(const char *text, char end, uint64_t *step, const char **after)
{
    size_t digits = strspn(text, "0123456789");
    errno = 0;
    *step = strtoull(text, NULL, 10);
    *after = text + digits + 1;
    return digits > 0 && text[digits] == end && errno == 0 && *step > 0;
}

vgg_status options_trace_steps(const options *o, uint64_t *first, uint64_t *last)
{
    const char *second, *end;
    char shown[OPTION_SHOWN_BYTES];
    *first = *last = 0;
    if (!o->trace_steps) return VGG_OK;
    bool right = read_step(o->trace_steps, ':', first, &second) && read_step(second, '\0', last, &end) && *first <= *last;
    if (!right || *last - *first >= TRACE_STEPS_MAX)
        return vgg_fail(VGG_BAD_OPTION,
                        "--trace-steps '%s': expected A:B, steps counted from 1, A at most B, and at most %d of them",
                        option_shown(o->trace_steps, shown), TRACE_STEPS_MAX);
    if (!o->trace) return vgg_fail(VGG_BAD_OPTION, "--trace-steps: says which steps --trace shows; give that as well");
    return VGG_OK;
}

#include "app/trained_network.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "vgg11/checkpoint/checkpoint.h"
#include "vgg11/data/resize.h"

static vgg_status read_facts(const char *path, const checkpoint_state *state, training_facts *facts)
{
    *facts = (training_facts){.step = state->position.step, .mean = state->pixel_mean, .deviation = state->pixel_deviation};
    errno = 0;
    json_t *config = state->config_json ? json_parse_text(state->config_json) : NULL;
    if (!config && errno == ENOMEM) return vgg_fail(VGG_UNAVAILABLE, "%s: not enough memory to read it", path);
    const char *resize = json_string_value(json_object_get(config, "resize"));
    snprintf(facts->resize, sizeof facts->resize, "%s", resize && resize_find(resize) ? resize : "");
    const char *precision = json_string_value(json_object_get(config, "precision"));
    int index = precision ? option_choice_index(option_precisions, precision) : -1;
    facts->precision = index == PRECISION_FP32 || index == PRECISION_BF16 ? index : -1;
    facts->resize_bug = json_is_true(json_object_get(config, "resize-bug"));
    json_decref(config);
    return VGG_OK;
}

vgg_status trained_network_facts(const char *path, const checkpoint_state *state, training_facts *facts)
{
    VGG_TRY(read_facts(path, state, facts));
    if (isfinite(facts->mean) && isfinite(facts->deviation) && facts->deviation > 0) return VGG_OK;
    return vgg_fail(VGG_BAD_CHECKPOINT, "%s: pixel mean %g and deviation %g normalise nothing; expected finite ones, deviation > 0",
                    path, facts->mean, facts->deviation);
}

vgg_status trained_network_load(const char *path, float *weights, training_facts *facts)
{
    checkpoint_state state = {0};
    vgg_status status = checkpoint_load_weights(path, &state, weights);
    if (status == VGG_OK) status = trained_network_facts(path, &state, facts);
    checkpoint_state_clear(&state);
    return status;
}

const char *trained_network_resize(const options *o, const training_facts *facts)
{
    return *facts->resize && !options_given(o, offsetof(options, resize)) ? facts->resize : o->resize;
}

vgg_precision trained_network_precision(const options *o, const training_facts *facts)
{
    bool named = facts->precision < 0 || options_given(o, offsetof(options, precision));
    return (vgg_precision)(named ? option_choice_index(option_precisions, o->precision) : facts->precision);
}

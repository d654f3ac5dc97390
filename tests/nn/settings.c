#include "nn/settings.h"

#include <check.h>
#include <string.h>

#include "vgg11/conv/conv.h"
#include "vgg11/nn/model.h"

setting settings[SETTINGS_MAX] = {{PRECISION_FP32, "auto"}, {PRECISION_BF16, "auto"}};
int settings_count = SETTING_BF16 + 1;

/* The network's choices; false if it cannot be had, as where the processor lacks what a named row needs. */
static bool choices_of(const setting *s, char choices[CONV_CHOICES_TEXT_MAX])
{
    network_config config = {.batch_capacity = 1, .threads = 1, .precision = s->precision, .conv = s->conv, .training = true};
    network *net;
    if (network_create(&config, &net) != VGG_OK) return false;
    network_algorithms(net, choices);
    network_destroy(net);
    return true;
}

/* A row whose name changes nothing is not tested twice. */
void settings_find(void)
{
    char expected[CONV_CHOICES_TEXT_MAX] = "", choices[CONV_CHOICES_TEXT_MAX];
    choices_of(&settings[SETTING_BF16], expected);
    for (const conv_algorithm *const *row = conv_algorithms; *row; row++) {
        const setting named = {PRECISION_BF16, (*row)->name};
        bool another = (*row)->precision == PRECISION_BF16 && choices_of(&named, choices) && strcmp(choices, expected) != 0;
        if (another && settings_count < SETTINGS_MAX) settings[settings_count++] = named;
    }
}

network *settings_create(const setting *s, int capacity, int threads, bool training)
{
    network_config config = {
        .batch_capacity = capacity, .threads = threads, .precision = s->precision, .conv = s->conv, .training = training};
    network *net;
    ck_assert_msg(network_create(&config, &net) == VGG_OK, "%s", vgg_message());
    return net;
}

bool settings_round_transforms(const network *net)
{
    bool some = false;
    for (int slot = 0; slot < MODEL_LAYERS * CONV_PASSES; slot++) {
        const conv_algorithm *row = conv_algorithm_find(network_algorithm(net, slot / CONV_PASSES, slot % CONV_PASSES));
        some = some || (row && row->precision == PRECISION_BF16 && row->transforms_operands);
    }
    return some;
}

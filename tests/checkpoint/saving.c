#include "checkpoint/saving.h"

#include "support/support.h"
#include "vgg11/base/memory.h"
#include "vgg11/nn/model.h"

float *saving_flat(unsigned seed)
{
    void *memory;
    ck_assert_int_eq(vgg_map(model_flat_count() * sizeof(float), &memory), VGG_OK);
    for (int t = 0; seed && t < MODEL_TENSORS; t++)
        support_fill((float *)memory + model_tensors()[t].offset, model_tensors()[t].count, seed + (unsigned)t);
    return memory;
}

vgg_status saving_save(const char *path, uint64_t step, const float *weights, const float *velocity)
{
    checkpoint_state state = {.position.step = step,
                              .config_json = "{}",
                              .data_fingerprint = "",
                              .data_digest = "",
                              .tuning_fingerprint = "",
                              .exchange = "",
                              .algorithms = "",
                              .pixel_deviation = 1};
    return checkpoint_save(path, &state, weights, velocity, NULL);
}

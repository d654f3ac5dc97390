#include "train/pass_digest.h"

#include <stdio.h>
#include <string.h>

#include "vgg11/base/hash.h"
#include "vgg11/comm/replica.h"

enum { AT_LOSS = MODEL_LAYERS, AT_LAST_TENSOR };

static size_t place_of(int tensor) { return (size_t)(AT_LAST_TENSOR + MODEL_TENSORS - 1 - tensor); }

void pass_digest_outputs(pass_digest *digest, const network *net)
{
    for (int i = 0; i < MODEL_LAYERS; i++) digest->hashes[i] = network_output_hash(net, i);
}

void pass_digest_loss(pass_digest *digest, loss_result loss)
{
    uint64_t words[2] = {0, loss.correct};
    memcpy(words, &loss.loss_sum, sizeof loss.loss_sum);
    digest->hashes[AT_LOSS] = hash_bits(words, sizeof words);
}

void pass_digest_gradient(pass_digest *digest, const float *gradient, const factor_batch *factors, vgg_range range)
{
    for (int i = 0; i < MODEL_TENSORS; i++) {
        const tensor_view *tensor = &model_tensors()[i];
        vgg_range blocks = {0, replica_blocks(tensor->count)};
        if (tensor->offset < range.first || tensor->offset >= range.first + range.count) continue;
        digest->hashes[place_of(i)] = tensor->kernel && factors_hold(factors->f, i / 2)
                                          ? factors_hash(factors, i / 2)
                                          : replica_hash(gradient + tensor->offset, tensor->count, blocks, factors->threads);
    }
}

void pass_digest_compare(const pass_digest *digest, const pass_digest *other, char *text, size_t text_bytes)
{
    size_t first = 0;
    while (first < PASS_RESULTS && digest->hashes[first] == other->hashes[first]) first++;
    if (first < AT_LOSS)
        snprintf(text, text_bytes, "the output of %s", model_layers[first].name);
    else if (first == AT_LOSS)
        snprintf(text, text_bytes, "the loss");
    else if (first < PASS_RESULTS)
        snprintf(text, text_bytes, "the gradient of %s", model_tensors()[place_of(0) - first].name);
    else
        *text = '\0';
}

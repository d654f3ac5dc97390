/* The JSON header of a checkpoint. Built for fuzzing, the parser takes any checksum, as an attacker would compute the right one. What it
 * accepts is written again and must be accepted again. */
#include <stdlib.h>

#include "checkpoint/safetensors.h"
#include "fuzz/fuzz.h"

static void write_again(const checkpoint_state *state, const uint32_t crc[SAFETENSORS_TENSORS])
{
    char *header;
    size_t bytes;
    checkpoint_state again = {0};
    uint32_t crc_again[SAFETENSORS_TENSORS];
    if (safetensors_compose(state, crc, &header, &bytes) != VGG_OK) return;
    if (safetensors_parse("again", header, bytes, &again, crc_again) != VGG_OK) abort();
    if (again.position.step != state->position.step || crc_again[0] != crc[0]) abort();
    checkpoint_state_clear(&again);
    free(header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    checkpoint_state state = {0};
    uint32_t crc[SAFETENSORS_TENSORS];
    if (safetensors_parse("header", (const char *)data, size, &state, crc) == VGG_OK) write_again(&state, crc);
    checkpoint_state_clear(&state);
    return 0;
}

/* The beginning of a checkpoint file: length, header, and a hole that makes the file as long as it might have to be. */
#include <string.h>
#include <unistd.h>

#include "checkpoint/safetensors.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    checkpoint_state state = {0};
    const char *path = fuzz_file(data, size);
    uint64_t header_bytes = 0;
    if (size >= sizeof header_bytes) memcpy(&header_bytes, data, sizeof header_bytes);
    if (header_bytes <= SAFETENSORS_HEADER_MAX &&
        truncate(path, (off_t)(SAFETENSORS_LENGTH_BYTES + header_bytes + safetensors_data_bytes())) != 0)
        return 0;
    checkpoint_read_state(path, &state);
    checkpoint_state_clear(&state);
    return 0;
}

/* A configuration file, lines or JSON, as --config reads it. */
#include <stdlib.h>

#include "app/options/options.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char program[] = "vgg11_dist", command[] = "train", config[] = "--config";
    char *words[] = {program, command, config, (char *)fuzz_file(data, size), NULL};
    options o;
    if (options_parse(4, words, &o) == VGG_OK) free(options_json(&o, SCOPE_CALL));
    options_clear(&o);
    return 0;
}

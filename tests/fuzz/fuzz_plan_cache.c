/* The file of timed choices of algorithms, each line behind the key that this program looks for; and the same bytes as the line of
 * choices that a checkpoint holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conv/two_layers.h"
#include "fuzz/fuzz.h"

enum { KEY_MAX = 512 };

/* Of a line that the program writes itself, into a file beside. */
static void find_key(char key[KEY_MAX])
{
    char path[KEY_MAX];
    for (int i = 0; i < LAYERS * CONV_PASSES; i++)
        choices[i / CONV_PASSES][i % CONV_PASSES].plan.algorithm = conv_algorithm_find("reference");
    snprintf(path, sizeof path, "%s.key", fuzz_file("", 0));
    config.cache = path;
    autotune_cache_store(&tuner);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(key, KEY_MAX, file) || !strchr(key, '\t')) abort();
    *strchr(key, '\t') = '\0';
    fclose(file);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char key[KEY_MAX];
    recorded_choice recorded[LAYERS][CONV_PASSES] = {0};
    if (!*key) find_key(key);
    char *text = fuzz_text(data, size), *rest = text, *file_text = NULL;
    size_t file_bytes = 0;
    choices_text_read(&tuner, text, recorded);
    FILE *lines = open_memstream(&file_text, &file_bytes);
    for (char *line; lines && (line = strsep(&rest, "\n"));) fprintf(lines, "%s\t%s\n", key, line);
    if (lines) fclose(lines);
    config.cache = fuzz_file(file_text, file_bytes);
    memset(recorded, 0, sizeof recorded);
    autotune_cache_load(&tuner, recorded);
    free(file_text);
    free(text);
    return 0;
}
